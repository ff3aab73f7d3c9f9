# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Keys of conf/reference_results.yaml: published results."""

from typing import Annotated, Literal

from pydantic import Field

from sertl.schema.strict import Section, Text

Tag = Literal["PAPER", "PAPER~", "CODE"]
Percent = Annotated[float, Field(ge=0.0, le=100.0)] | None


class ReferenceRow(Section):
    """One published result; what the keys mean is said at the top of the file."""

    id: Text
    method: Text
    folds: Text
    dev: Text
    near: Text
    tag: Tag
    cite: Text
    upstream: Text = ""
    ua: Percent = None
    wa: Percent = None
    f1: Percent = None
    wer: Annotated[float, Field(ge=0.0)] | None = None
    gender_ua: Percent = None
    style_ua: Percent = None
    ua_by_fold: list[float] | None = None
    why: Text = ""


class ReferenceCorpus(Section):
    """A document of the file."""

    corpus: Text
    results: list[dict]
