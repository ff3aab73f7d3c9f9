#!/usr/bin/env bash
# All rows of the tables of Gao et al. 2024: trains each of the 14 methods in conf/method/two_stage, in
# the order of the paper, and writes exp/<name>_table.md, with the published numbers beside ours.
# Interrupted, it goes on where it was; a row that is done is skipped.
#
# Usage: local/two_stage_table.sh NAME [options of run.sh, but --tag, --method]
#
#   NAME      beginning of the experiments' tags
#
# Example: local/two_stage_table.sh gao --corpus-dir /corpora/IEMOCAP --protocol fixed --upstream xls_r_300m --ngpu 1
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if (( $# < 1 )) || [[ $1 == -* ]]; then
  sed -n '2,/^# Copyright/{/^# Copyright/d;s/^# \{0,1\}//p}' "local/${BASH_SOURCE[0]##*/}" >&2
  exit 1
fi
# shellcheck source=../../../path.sh
. ../../path.sh
name=$1
shift

rows=(
  adapters_ser adapters_ser_asr adapters_ser_gender_style
  all_ser all_ser_asr all_ser_gender_style all_ser_asr_gender_style
  adapters_adapters all_all all_adapters
  no_fusion concat scl_norm scl_cos
)
experiments=()
for row in "${rows[@]}"; do
  log "$row"
  ./run.sh --method "two_stage/$row" --tag "${name}_$row" "$@"
  experiments+=("exp/${name}_$row")
done
python -m sertl.bin.compare --table "${experiments[@]}" --reference ../../conf/reference_results.yaml \
  --out "exp/${name}_table.md"
log "done: $PWD/exp/${name}_table.md"
