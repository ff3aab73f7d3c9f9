# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What the JSON files of a run must hold for other stages to read them; further keys are kept."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator


class Record(BaseModel):
    """A file that a stage wrote."""

    model_config = ConfigDict(extra="allow", strict=True, protected_namespaces=())


class FingerprintFile(Record):
    """fingerprint.json: what a folder was made from."""

    state: Literal["running", "done"]
    inputs: dict[str, JsonValue]


class Counted(Record):
    """Which utterances, and how many."""

    n: int
    hash: str


class ProtocolFile(Record):
    """protocol.json of a fold."""

    fold_hash: str
    select: str


class FullProtocol(ProtocolFile):
    """What scores need of it."""

    corpus: str
    policy: str
    labels: list[str]
    protocol: str
    fold: int
    num_folds: int
    num_utts: dict[str, int]
    n_per_class: dict[str, int]
    release: str
    dev_rule: str
    licence: str
    cite: str
    language: str | None = None
    shared_speakers: int = 0
    merge: dict[str, str] = {}
    notes: str = ""


class DecodeFile(Record):
    """decode.json."""

    data_dir: str
    fold: int
    seed: int
    set: str


class Emotion(Record):
    """Scores of the emotions."""

    ua: float
    wa: float
    macro_f1: float
    weighted_f1: float
    recall: dict[str, float | None]
    support: dict[str, float]
    confusion: list[list[float]]


class ScoreFile(Record):
    """score_<set>.json."""

    version: int
    inputs: dict[str, str]
    set: str
    fold: int
    seed: int
    labels: list[str]
    protocol: FullProtocol
    n: int
    num_speakers: int
    emotion: Emotion | None = None
    classes: dict[str, JsonValue]
    utts: dict[str, list]

    @model_validator(mode="after")
    def _columns_agree(self) -> "ScoreFile":
        for name in ("utt", "spk", "dur_sec"):
            if name not in self.utts:
                raise ValueError(f"lacks utts.{name}")
        odd = [k for k, v in self.utts.items() if k != "hyp_orders" and len(v) != self.n]
        odd += [k for k in ("hyp_orders",) for v in self.utts.get(k, []) if len(v) != self.n]
        if odd:
            raise ValueError(f"utts.{odd[0]} has not n = {self.n} entries")
        count = len(self.labels)
        for name in ("ref", "hyp"):
            if not all(type(i) is int and -1 <= i < count for i in self.utts.get(name, [])):
                raise ValueError(f"utts.{name} holds what is no index of a label")
        if self.emotion is not None and (
            {"ref", "hyp"} - self.utts.keys()
            or [len(row) for row in self.emotion.confusion] != [count] * count
        ):
            raise ValueError("emotion does not fit the labels")
        return self


class Selected(Record):
    """Which update was chosen, and by what."""

    metric: str
    value: float | None = None


class Params(Record):
    """Numbers of parameters."""

    trained: int
    frozen: int
    total: Annotated[int, Field(ge=1)]


class RunFile(Record):
    """run.json of a trained or solved phase."""

    phase: str
    method: str
    layers: list[int]
    selected: Selected | None = None
    params: Params | None = None
    speaker_norm: Literal["none", "offline", "online"] = "none"
    layer_weights: list[float] | None = None
    wap_weights: list[float] | None = None
    seconds_per_epoch: float | None = None
    seconds_per_update: float | None = None
    epochs: int | None = None
    checkpoint_mib: float | None = None
    peak_rss_gib: float | None = None
    seen_ids: dict[str, Counted]
    transductive: bool = False


class LabelSetFacts(Record):
    """One set of frame labels."""

    layer: int
    clusters: int
    source: str = "teacher"


class LabelsFile(Record):
    """run.json of stage 5."""

    label_sets: Annotated[list[LabelSetFacts], Field(min_length=1)]
    quality: dict[str, JsonValue] = {}


class CodebookFile(Record):
    """codebook.json."""

    clusters: int
    size: int


class ChunkFile(Record):
    """A chunk of a dump."""

    num_frames: dict[str, int]
    bytes: dict[str, int]
    num_samples: dict[str, int] = {}


class AudioFactsLine(Record):
    """What a shard of stage 1 found in an audio file."""

    wav: str
    bytes: int
    mtime_ns: int
    dur_sec: float
    sample_rate: int
    channels: int
    problems: list[str]
    sha1: str


class ShardFile(Record):
    """What a shard of a dump wrote."""

    shard: str
    chunks: int
    utts: int
    ids: str


class FinishedFile(Record):
    """A run of run.sh that has ended."""

    asked: str
    folders: list[str]
    code: str
    files: str
    audio: str


class PackedFile(Record):
    """A file of a packed model."""

    sha256: str
    bytes: int


class PackedEncoder(Record):
    """A checkpoint in a packed model: one file, or a folder of some that were pickles."""

    kind: Literal["file", "folder"]
    pickled: list[str] = []


class PackedManifest(Record):
    """sertl.json of a packed model."""

    sertl: str
    name: str
    labels: list[str]
    sample_rate: int
    members: Annotated[list[dict[str, JsonValue]], Field(min_length=1)]
    encoder: dict[str, JsonValue]
    upstream: PackedEncoder | None
    files: dict[str, PackedFile]


class LogEntry(Record):
    """A line of log.jsonl."""

    kind: str
    epoch: int = 0


class JobLine(Record):
    """A line of a list of jobs."""

    stage: str
    command: Annotated[list[str], Field(min_length=1)]
    folder: str
    log: str
    exp: str
    seed: int
    folds: list[int]
    phases: list[str]
    needs: list[str]
    nodes: Annotated[int, Field(ge=1)]
    gpus: Annotated[int, Field(ge=0)]
