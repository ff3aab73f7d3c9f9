# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Adapter trained without labels on local attributes (Song et al. 2025)."""

from sertl.models.local_attributes.local_attributes import LocalAttributes

__all__ = ["LocalAttributes"]
