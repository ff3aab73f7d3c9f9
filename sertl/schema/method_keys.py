# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Keys of conf/method/<name>.yaml beside those of its phases, and of stage 5."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from sertl.schema.strict import Count, Options, Section, Text, Whole
from sertl.schema.training_keys import Indices

Input = Literal["feats", "wav"]
Source = Literal["teacher", "released"]


class PseudoLabels(Section):
    """Stage 5. A method names only what differs from these defaults."""

    layers: Indices = Field(
        [9],
        description="hidden states of the teacher's encoder to cluster; without a teacher, of "
        "the upstream's",
    )
    clusters: Annotated[list[Annotated[int, Field(ge=2, le=10**6)]], Field(min_length=1)] = Field(
        [512],
        description="numbers of clusters K; each layer with each K is one label set",
    )
    sources: Annotated[list[Source], Field(min_length=1)] = Field(
        ["teacher"],
        description="whose hidden states are clustered: teacher, released (the encoder before "
        "any training), or both",
    )
    cross_fit: Annotated[int, Field(ge=0, le=1000)] = Field(
        0,
        description="k: the frames of each of k groups of training speakers are those of a "
        "teacher that was trained without them (k further teachers); 0: all are the teacher's",
    )
    also: list[Text] = Field(
        [],
        description="other data directories whose frames are labelled too (clusters are of the "
        "fold's training set); for a frame stage on more speech: frames.data_conf.train=[fold,…]",
    )
    min_frames: Whole = Field(
        50,
        description="training frames per cluster; a K with fewer is dropped, and the log says so",
    )
    per_gender: bool = Field(
        False, description="K/2 clusters of female and K/2 of male training frames"
    )
    batch_frames: Count = Field(10000, description="frames per mini-batch of k-means")
    restarts: Count = Field(20, description="k-means++ starts; the best one goes on")
    passes: Count = Field(
        100,
        description="passes over all training frames, at most; it ends when the inertia stands "
        "still",
    )


class Method(Section):
    """A file in conf/method. A method that is `like` another says only what differs."""

    description: Text = Field("", description="what it is, and its source")
    input: Input = Field(
        "feats", description="feats: hidden states that stage 3 dumps; wav: audio, encoder live"
    )
    transductive: bool = Field(
        False, description="phases without labels also see the fold's dev and test audio"
    )
    teacher: Options | None = Field(
        None, description="a phase trained before the others, in stage 4"
    )
    pseudo_labels: Options | None = Field(
        None, description="labels of frames, made in stage 5: the keys of pseudo_labels"
    )
    phases: list[dict[str, JsonValue]] = Field(
        [], description="in the order of training; `like` starts from an earlier phase of the list"
    )
