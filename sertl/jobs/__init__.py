# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Stages 4 to 7 as a list of jobs, run on this machine or handed to a cluster."""
