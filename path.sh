#!/usr/bin/env bash
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
# Sourced by every run.sh and by tools/test.sh: puts a Python that can run sertl on the PATH. The
# user's own environment is taken if it has every package; else tools/venv, installed when missing.
# (python -m sertl.bin.doctor looks at versions too.)

SERTL_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export SERTL_ROOT LC_ALL=C PYTHONUNBUFFERED=1
export PYTHONPATH="$SERTL_ROOT${PYTHONPATH:+:$PYTHONPATH}"
. "$SERTL_ROOT/tools/log.sh"

if ! python -c 'import importlib.util as u, sys
sys.exit(any(u.find_spec(m) is None for m in """torch torchaudio s3prl transformers kaldiio
sentencepiece sklearn numpy scipy soundfile yaml pydantic tqdm matplotlib jinja2 tensorboard jiwer
fast_ctc_decode""".split()))' \
  > /dev/null 2>&1; then
  if [[ ! -f $SERTL_ROOT/tools/venv/.complete ]]; then
    log "no Python with sertl's packages found: installing into tools/venv"
    "$SERTL_ROOT/tools/install.sh"
  fi
  export PATH="$SERTL_ROOT/tools/venv/bin:$PATH"
fi
