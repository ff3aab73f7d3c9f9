# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Keys of a training phase: what a method's phases may say, and `--set`."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from sertl.errors import SertlError
from sertl.schema.strict import (
    Count,
    Name,
    Number,
    Options,
    Section,
    Share,
    Text,
    Two,
    Whole,
    Words,
)

BUDGETS = ("epochs", "updates", "frames_per_update")  # of optim_conf: how long to train

Start = Literal["random", "solved"]
Tune = Literal["none", "all", "bitfit", "last"]
NormMode = Literal["none", "offline", "online"]
NormWhere = Literal["vectors", "frames"]
ClassWeights = Literal["none", "inverse"]
Sampler = Literal["shuffle", "balanced"]
Optimizer = Literal["adam", "adamw"]
Schedule = Literal["constant", "linear", "cosine"]
Autocast = Literal["none", "bf16", "fp16"]
Select = Literal[
    "auto",
    "auto_wer",
    "dev_ua",
    "dev_ua_loss",
    "dev_wa",
    "dev_ccc",
    "dev_loss",
    "dev_emo_loss",
    "dev_wer",
    "last",
]


def _different(values: list) -> list:
    if len(set(values)) < len(values):
        raise ValueError("has one of its values twice")
    return values


def _ordered(values: list) -> list:
    if values[0] > values[1]:
        raise ValueError("must be the least and the greatest value, in this order")
    return values


Index = Annotated[int, Field(ge=0, le=10_000)]
Indices = Annotated[list[Index], Field(min_length=1), AfterValidator(_different)]
Beta = Annotated[float, Field(ge=0.0, lt=1.0)]
Speed = Annotated[float, Field(ge=0.5, le=2.0)]
Level = Annotated[float, Field(ge=-20.0, le=100.0)]
Reverb = Annotated[float, Field(ge=0.01, le=5.0)]


class Init(Section):
    """Where weights come from, if not from the seed."""

    from_: Text | None = Field(
        None,
        description="an earlier phase's name, the path of a phase folder or experiment, or "
        "`upstream`: the encoder's last blocks (models with a WAP adapter)",
    )
    map: dict[str, Text] = Field(
        {},
        description="module of this model -> module there that it starts from, where names "
        "differ: {wap: teacher}",
    )
    only: list[Text] = Field(
        [],
        description="modules of this model that start from there, e.g. [upstream]; empty: all "
        "that are there too",
    )
    freeze: list[Text] = Field(
        [],
        description="modules that stay as they are there: how their names begin, of PEFT modules "
        "(adapter, lora, lora.a, gate) or of the model (heads, mix, wap)",
    )

    @classmethod
    def adjust(cls, changes: object, where: str) -> object:
        """Say how `init: <name>` is written now."""
        if isinstance(changes, str):
            raise SertlError(f"{where}: init is a mapping now; write init.from={changes}")
        return changes


class UpstreamConf(Section):
    """The encoder under `input: wav`; with `feats` it has already run."""

    tune: Tune = Field(
        "none",
        description="of the encoder's own tensors, train none, all but the convolutions, the "
        "biases of its blocks, or its last blocks",
    )
    last_blocks: Count = Field(
        2, description="for `tune: last`: how many, up to the highest hidden state read"
    )
    peft: dict[str, Options | None] = Field(
        {},
        description="small trainable modules in its blocks, with their options, all with `layers` "
        "(all, or block numbers from 1): adapter {width, place: block | ffn, norm: auto | layer | "
        "none}, lora {alpha, rank, targets: [q, k, v, out, ffn]}, gate {init: auto | ones | "
        "identity}, prefix {length}, ia3 {}; `lora: null` leaves one out",
    )
    from_layer: Index | None = Field(
        None,
        description="tune the blocks above this hidden state alone: stage 3 dumps it once, and "
        "training goes on from there without audio, convolutions and lower blocks; `all` above "
        "then means the blocks above it",
    )
    grad_checkpoint: bool = Field(
        False,
        description="recompute the inside of each block in the backward pass: less memory, more "
        "time",
    )


class Augment(Section):
    """Changes of the audio in training on `input: wav`, drawn per utterance and epoch."""

    speed: list[Speed] = Field(
        [],
        description="factors, pitch included, one of which is drawn, e.g. [0.9, 1.0, 1.1]; []: "
        "none",
    )
    level_db: Annotated[float, Field(ge=0.0, le=60.0)] = Field(
        0.0, description="louder or softer by up to so many dB"
    )
    noise: Share = Field(0.0, description="share of the clips that get noise, white to brown")
    snr_db: Annotated[list[Level], Two, AfterValidator(_ordered)] = Field(
        [5.0, 30.0], description="its level below the speech, from and to"
    )
    reverb: Share = Field(0.0, description="share of the clips that get a generated room")
    rt60_sec: Annotated[list[Reverb], Two, AfterValidator(_ordered)] = Field(
        [0.1, 0.6], description="time in which its sound falls by 60 dB, from and to"
    )


class SpeakerNorm(Section):
    """Take out of every clip what the speaker's clips, unlabelled, have in common."""

    mode: NormMode = Field(
        "none",
        description="offline: all clips of the speaker in the set; online: those up to this one "
        "(causal)",
    )
    scale: bool = Field(False, description="also divide by the standard deviation")
    prior: Number | None = Field(
        None,
        description="weight of the training mean, in clips; null: estimated on the training "
        "speakers",
    )
    where: NormWhere = Field(
        "vectors",
        description="of a model that reads dumped frames: out of the vectors that it pools, or out "
        "of the frames",
    )


def _group(value: list | None) -> list | None:
    if value is not None and value[0] >= value[1]:
        raise ValueError("must be [i, k] with i below k")
    return value


class DataConf(Section):
    """What is read."""

    train: Annotated[list[Text], Field(min_length=1)] = Field(
        ["fold"],
        description="data directories to train on; `fold` is the fold's training set, "
        "`fold/source_train` that of the source where folds are of two corpora (egs/adaptation)",
    )
    share: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        1.0,
        description="share of each class of `fold` that is used; other entries of `train` are "
        "whole",
    )
    leave_out: Annotated[list[Whole], Two, AfterValidator(_group)] | None = Field(
        None,
        description="[i, k]: of k groups of the fold's training speakers, group i is left out "
        "(pseudo_labels.cross_fit)",
    )
    dev: Literal["dev", "source_dev"] = Field(
        "dev", description="part of the fold that chooses the checkpoint"
    )
    layers: Literal["all", "last"] | Indices = Field(
        "all",
        description="hidden states to read: all, last, or a list such as [2] or [6, 9, 12]",
    )
    normalise: bool = Field(
        True,
        description="layer-normalise each hidden state (no affine part): layers of one scale",
    )
    batch_size: Count = Field(32, description="utterances per update, over all processes")
    batch_sec: Annotated[float, Field(ge=1e-3, le=1e9)] = Field(
        160.0,
        description="padded seconds per micro-batch; a longer batch is accumulated in pieces",
    )
    bucket: Count = Field(
        8,
        description="batches sorted by length together: higher pads less and shuffles less",
    )
    cache_gib: Number = Field(
        4.0,
        description="features up to this size are kept in RAM; beyond it, read from the arks",
    )
    crop_sec: Annotated[float, Field(ge=0.0, le=1e6)] = Field(
        0.0, description="random crop of training clips, in seconds; 0 keeps them whole"
    )
    time_mask: Share = Field(
        0.0,
        description="SpecAugment on `input: wav`: share of the frames that enter the encoder's "
        "blocks which training masks, if spans did not overlap",
    )
    time_mask_span: Count = Field(10, description="frames per span")
    augment: Augment = Augment()
    speaker_norm: SpeakerNorm = SpeakerNorm()
    max_sec: Annotated[float, Field(ge=0.0, le=1e9)] = Field(
        0.0, description="leave longer clips out of training, in seconds; 0 keeps all"
    )
    class_weights: ClassWeights = Field(
        "none", description="inverse: weigh the emotion loss by 1 / class frequency"
    )
    sampler: Sampler = Field("shuffle", description="balanced draws every class equally often")


def _scales(values: dict) -> dict:
    for value in values.values():
        if isinstance(value, dict):
            _scales(value)
        elif value is not None and (
            isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1e12
        ):
            raise ValueError(f"holds {value!r}, which is not a number of at least 0, or null")
    return values


class OptimConf(Section):
    """How it is trained."""

    optimizer: Optimizer = Field("adamw", description="of torch.optim")
    lr: Number = Field(1e-3, description="peak learning rate")
    lr_scale: Annotated[Options, AfterValidator(_scales)] = Field(
        {},
        description="module or parameter, by its whole name -> factor on lr, e.g. {upstream: "
        "0.1}; or of a group: encoder (the upstream's own tensors), parts (PEFT modules), mix, "
        "heads (all else)",
    )
    block_decay: Annotated[float, Field(ge=1e-6, le=1.0)] = Field(
        1.0,
        description="each of the encoder's blocks learns by this factor more slowly than the one "
        "above it",
    )
    weight_decay: Number = Field(0.01, description="of all weights")
    betas: Annotated[list[Beta], Two] = Field([0.9, 0.999], description="of Adam")
    schedule: Schedule = Field(
        "linear", description="after warm-up and hold; linear and cosine reach 0"
    )
    warmup: Share = Field(0.1, description="share of all updates, from 0 up to lr")
    hold: Share = Field(0.0, description="share of all updates at lr before the decay starts")
    epochs: Whole = Field(
        50,
        description="how long to train: epochs, updates or training frames (of 20 ms) for each "
        "update; of the three the one given last holds. All 0: the start is the result",
    )
    updates: Whole = Field(0, description="see epochs")
    frames_per_update: Whole = Field(0, description="see epochs; e.g. 50")
    eval_updates: Whole = Field(
        0, description="look at dev every so many updates; 0: after every epoch"
    )
    patience: Whole = Field(
        0,
        description="stop after looking at dev this many times without a better dev score; 0: "
        "never",
    )
    grad_clip: Number = Field(1.0, description="largest gradient norm; 0: no clipping")
    autocast: Autocast = Field("none", description="fp16 with loss scaling; needs a GPU")
    ema: Annotated[float, Field(ge=0.0, le=0.99999)] = Field(
        0.0,
        description="judge and keep the moving average of the weights, with this decay per "
        "update; 0: the last",
    )
    save_updates: Whole = Field(
        0, description="also save the state to resume from every so many updates; 0: per epoch"
    )

    @classmethod
    def adjust(cls, changes: object, where: str) -> object:
        """Of epochs, updates and frames_per_update the one given takes the others' place."""
        if not isinstance(changes, dict):
            return changes
        given = [key for key in BUDGETS if changes.get(key)]
        return {**dict.fromkeys(BUDGETS, 0), **changes} if len(given) == 1 else changes


class DecodeConf(Section):
    """Stage 7."""

    beam: Annotated[int, Field(ge=1, le=10_000)] = Field(
        1,
        description="CTC outputs to text: 1 takes the best token of each frame, more search with "
        "so many hypotheses",
    )
    orders: Count = Field(
        5,
        description="speaker_norm online, where the corpus does not say when a clip was said: "
        "random orders of each speaker's clips, whose scores are averaged",
    )


class SelectConf(Section):
    """Of protocols loso and loso10; superb, fixed and official keep their own rule."""

    folds: Annotated[int, Field(ge=0, le=1000)] = Field(
        0,
        description="0: the dev set chooses; k: so many groups of the training and dev speakers, "
        "each held out once, choose the number of updates (k further trainings); where two phases "
        "have as many, the later one's start from the earlier one's, which have not seen the group",
    )
    lambdas: Annotated[list[Share], Field(min_length=1)] = Field(
        [1.0],
        description="shares of the way from the start to the result, of which calibrated dev "
        "loss chooses, e.g. [0, 0.25, 0.5, 0.75, 1]",
    )
    refit: bool = Field(
        False,
        description="train once more, on train + dev, for the number of updates chosen (always "
        "so with folds); with select: last and one lambda, train on both at once",
    )


class Phase(Section):
    """A training phase. A method's phases name only what differs from these defaults."""

    name: Annotated[Name, Words("a word of letters, digits and _ . + -")] = Field(
        "main", description="the phase's folder inside exp/<tag>/seed<s>/fold<k>/"
    )
    model: Text = Field("probe", description="a file in sertl/models/")
    model_conf: Options = Field(
        {}, description="arguments of that model's constructor; its docstring lists them"
    )
    start: Start = Field(
        "random",
        description="solved: the heads begin as those of method `linear`, solved on the features "
        "that the phase begins with (its layers, its pooling), chosen on training speakers",
    )
    init: Init = Init()
    upstream_conf: UpstreamConf = UpstreamConf()
    data_conf: DataConf = DataConf()
    optim_conf: OptimConf = OptimConf()
    decode_conf: DecodeConf = DecodeConf()
    select: Select = Field(
        "auto",
        description="what chooses the checkpoint; auto: the protocol's rule; auto_wer: dev_wer, "
        "unless that takes the last; dev_ua_loss: ties by loss",
    )
    select_conf: SelectConf = SelectConf()
