#!/usr/bin/env bash
# After the report: pack the trained models into one file, and predict a clip with it.
#
# Usage: local/finish.sh EXP
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
set -euo pipefail
# shellcheck source=../../../path.sh
. ../../path.sh
exp=$1
clips=(downloads/wav/*/*.wav)
python -m sertl.bin.pack --model "$exp" --out "$exp/model.sertl" > /dev/null
python -m sertl.bin.predict --model "$exp/model.sertl" "${clips[0]}" --out "$exp/prediction.jsonl"
log "packed: $PWD/$exp/model.sertl; it says of ${clips[0]}: $(< "$exp/prediction.jsonl")"
