#!/usr/bin/env bash
# All rows of the tables of Gao et al. 2024: trains each of the 14 methods in conf/method/two_stage, in
# the order of the paper, and writes exp/<name>_table.md, with the published numbers beside ours; the
# first row is the frozen encoder under solved heads.
# The first stage that six rows have in common is trained once. Interrupted, it goes on where it was.
#
# Usage, in a recipe's folder: ../../tools/tables/two_stage.sh NAME [options of run.sh, but --tag, --method]
#
#   NAME      beginning of the experiments' tags
#   options   with --set, a setting of a phase (phase2.optim_conf.lr=1e-4) is for the rows that have it,
#             and lr_scale.ctc for those with a CTC head
#
# Example: ../../tools/tables/two_stage.sh gao --corpus-dir /corpora/IEMOCAP --protocol fixed \
#            --upstream xls_r_300m --ngpu 1
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
set -euo pipefail
# shellcheck source=rows.sh
. "$(dirname "${BASH_SOURCE[0]}")/rows.sh"
table_begin 1 "$@"
name=$1
shift

rows=(
  adapters_ser adapters_ser_asr adapters_ser_gender_style
  all_ser all_ser_asr all_ser_gender_style all_ser_asr_gender_style
  adapters_adapters all_all all_adapters
  no_fusion concat scl_norm scl_cos
)
without_asr=" adapters_ser adapters_ser_gender_style all_ser all_ser_gender_style "
phases=(main phase1 phase2)
first=all_all # of the rows with the same first stage
reference "${name}_linear" "$@"
for method in "${rows[@]}"; do
  case $method in
    all_adapters | no_fusion | concat | scl_norm | scl_cos)
      share "${name}_$first" "${name}_$method" phase1 ;;
  esac
  options=()
  for word in "$@"; do
    if [[ $word == *.lr_scale.ctc=* && $without_asr == *" $method "* ]]; then continue; fi
    options+=("$word")
  done
  row "${name}_$method" "two_stage/$method" "${options[@]}"
done
python -m sertl.bin.compare --table "${experiments[@]}" \
  --reference "$SERTL_ROOT/conf/reference_results.yaml" --out "exp/${name}_table.md"
log "done: $PWD/exp/${name}_table.md"
