#!/usr/bin/env bash
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
# Sourced: log MESSAGE… with the time; die MESSAGE… to standard error with status 1.

log() { printf '%(%H:%M:%S)T %s\n' -1 "$*" >&2; }

die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}
