# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Keys of conf/upstream/<name>.yaml, and of `--set upstream.<key>=…`."""

from typing import Annotated, Literal

from pydantic import Field

from sertl.schema.strict import Options, Section, Share, Text
from sertl.schema.training_keys import Indices

Dtype = Literal["float32", "bf16", "auto"]
Size = Annotated[int, Field(ge=1, le=10**6)]


class Encoder(Section):
    """An upstream. `like: <name>` starts from another file instead of these defaults."""

    backend: Text = Field(
        description="s3prl | hf | emotion2vec | eat | opensmile | whisper | another file in "
        "sertl/upstream that registers it"
    )
    name: Text = Field(
        "", description="s3prl: entry that downloads its checkpoint, used without ckpt"
    )
    name_local: Text = Field("", description="s3prl: entry used when ckpt is a file")
    name_hf: Text = Field("", description="s3prl: entry used when ckpt is a Hugging Face folder")
    model_type: Text = Field(
        "", description="hf: model_type that the folder's config.json must have"
    )
    ckpt: Text | None = Field(None, description="path of a checkpoint file or folder; --ckpt")
    extra_conf: Options = Field(
        {}, description="s3prl: further arguments of the entry; hf: lang, of MMS's adapters"
    )
    layers: Literal["all"] | Indices = Field(
        "all", description="hidden states to dump: all, or a list of indices"
    )
    num_layers: Size = Field(
        description="hidden states that the encoder has: its blocks, and the input of the first"
    )
    hidden_size: Size = Field(description="their size D")
    stride: Size = Field(description="samples per frame")
    dtype: Dtype = Field(
        "float32",
        description="bf16: autocast; hidden states are float32 in both; auto: bf16 where it pays, "
        "on the machine that writes the configuration",
    )
    pad_to_30s: bool = Field(
        False, description="whisper: 30 s of padded input, as transformers does"
    )
    dropout: Share = Field(0.0, description="in the Transformer blocks, when they are tuned")
    note: Text = Field("", description="what the encoder is and what it was trained on")
    source: Text = Field("", description="its repository on huggingface.co, <owner>/<name>")
    licence: Text = Field("", description="of the weights")
    parameters: Annotated[float, Field(ge=0)] = Field(
        0.0, description="of the encoder, in millions, for docs/encoders.md"
    )

    @classmethod
    def adjust(cls, changes: object, where: str) -> object:
        """`extra_conf: null` is no argument."""
        if isinstance(changes, dict) and changes.get("extra_conf", 0) is None:
            return {**changes, "extra_conf": {}}
        return changes
