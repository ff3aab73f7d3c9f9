# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Keys of a recipe's conf/corpus.yaml, and of a pair of corpora."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from sertl.schema.strict import Section, Text, Whole, Word, Words

Protocol = Literal["loso", "loso10", "superb", "fixed", "official"]
Style = Literal["acted", "improvised", "natural", "scripted"]
GroupBy = Literal["session", "spk"]
Finite = Annotated[float, Field(ge=-1e6, le=1e6)]


def _range(values: list | None) -> list | None:
    if values is not None and values[0] >= values[1]:
        raise ValueError("is not [lowest, highest]")
    return values


def _once(values: list) -> list:
    if len(set(values)) < len(values):
        raise ValueError("has one twice")
    return values


Label = Annotated[Word, Field(min_length=1), Words("text; write it in quotes")]
Line = Annotated[Text, Words("text; write it in quotes")]


class CorpusPolicy(Section):
    """What a label policy of `policies` may change."""

    name: Line | None = Field(None, description="printed with every result")
    release: Line | None = Field(None, description="printed with every result")
    language: Line | None = Field(None, description="printed with every result")
    licence: Line | None = Field(None, description="printed with every result")
    cite: Line | None = Field(None, description="printed with every result")
    labels: Annotated[list[Label], AfterValidator(_once)] | None = Field(
        None, description="classes in index order"
    )
    merge: dict[str, Label] | None = Field(
        None, description="label of the corpus -> class that it counts as"
    )
    drop: list[Label] | None = Field(
        None, description="labels left out on purpose; any other label is an error"
    )
    only_style: Style | None = Field(None, description="keep this style only")
    expected: dict[str, dict[str, Whole]] | None = Field(
        None,
        description="session, speaker or `all` -> class -> number of utterances; not checked "
        "where it is left out",
    )
    group_by: GroupBy | None = Field(None, description="what a fold leaves out; default spk")
    protocol: Protocol | None = Field(
        None, description="used unless another one is asked for; default loso"
    )
    vad_range: (
        Annotated[
            list[Finite],
            Field(min_length=2, max_length=2),
            AfterValidator(_range),
            Words("[lowest, highest]"),
        ]
        | None
    ) = Field(None, description="[lowest, highest] of valence, arousal and dominance")
    excluded: dict[str, Line] | None = Field(
        None, description="utterance id -> reason why it is left out"
    )
    shared_speakers: bool | None = Field(
        None,
        description="the official split has speakers in two parts; printed with every result; "
        "default false",
    )
    notes: Line | None = Field(
        None, description="anything else that a reader of a result must know"
    )


class CorpusFile(CorpusPolicy):
    """conf/corpus.yaml. name, release, language, licence, cite and labels are needed."""

    policies: dict[str, CorpusPolicy] | None = Field(
        None, description="label policy -> the keys that it changes"
    )
    default_policy: Line | None = Field(None, description="needed where there are policies")


class Side(Section):
    """One corpus of a pair; paths are relative to its recipe."""

    recipe: Text = Field(description="folder in egs")
    data: Text = Field("data/all", description="data directory there")
    conf: Text = Field("conf/corpus.yaml", description="description there")
    policy: Text = Field("", description="label policy; empty: the corpus's default")
    protocol: Text = Field("", description="how it is split; empty: the corpus's default")
    prefix: Text = Field("", description="put before utterance and speaker ids")


class Member(Side):
    """One corpus of a union."""

    map: dict[str, Label | None] = Field(
        description="label of the corpus -> class of the union, or null: dropped"
    )


class UnionFile(Section):
    """egs/multi/conf/unions/<name>.yaml."""

    labels: Annotated[list[Label], Field(min_length=2), AfterValidator(_once)] = Field(
        description="classes in index order"
    )
    corpora: dict[str, Member] = Field(
        description="name, which goes before ids of utterances and speakers -> the corpus"
    )
    notes: Text = Field("", description="printed with every result")


class PairFile(Section):
    """egs/adaptation/conf/pairs/<name>.yaml."""

    source: Side | Annotated[list[Side], Field(min_length=1)] = Field(
        description="one corpus, or a list"
    )
    target: Side = Field(description="the corpus that is adapted to")
    map: dict[str, Label | None] = Field(
        description="label of the source -> class of the target, or null: dropped"
    )
    notes: Text = Field("", description="printed with every result")
