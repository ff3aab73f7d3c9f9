# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Keys of exp/<tag>/config.yaml: everything that a run depends on, resolved."""

from pydantic import Field

from sertl.schema.method_keys import Input, PseudoLabels
from sertl.schema.strict import Section, Text
from sertl.schema.training_keys import Index, Phase
from sertl.schema.upstream_keys import Encoder


class Experiment(Section):
    """A resolved configuration."""

    data: Text = Field(description="folder of the folds")
    dump: Text = Field(description="folder of the hidden states")
    dump_layers: list[Index] = []
    pool: list[Text] = []
    upstream_name: Text = ""
    upstream: Encoder = Field(description="the encoder")
    method: Text = ""
    description: Text = ""
    input: Input = Field(description="feats or wav")
    transductive: bool = False
    teacher: Phase | None = None
    pseudo_labels: PseudoLabels | None = None
    phases: list[Phase] = Field(min_length=1, description="the phases of the method")
