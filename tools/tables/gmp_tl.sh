#!/usr/bin/env bash
# What each part of GMP-TL (Pan et al. 2024) adds: the frozen encoder under solved heads; fine-tuning; with the frame stage on one label
# set; on all label sets; with a teacher that learns gender too; with AM-Softmax, the full method. Each
# row adds a part to the one above it. Writes exp/<name>_table.md. What rows have in common (teacher,
# labels, frame stage) is made once. Interrupted, it goes on where it was.
#
# Usage, in a recipe's folder:
#   ../../tools/tables/gmp_tl.sh NAME LAYERS CLUSTERS [options of run.sh, but --tag, --method]
#
#   NAME      beginning of the experiments' tags
#   LAYERS    of the teacher, e.g. "6 9 12"; the one in the middle makes the single label set
#   CLUSTERS  numbers of clusters of each layer, e.g. "64 512 4096"; likewise
#   options   with --set, a setting of a phase (teacher.optim_conf.epochs=10) is for the rows that have it
#
# Example: ../../tools/tables/gmp_tl.sh gmp "6 9 12" "64 512 4096" --corpus-dir /corpora/IEMOCAP \
#            --upstream hubert_base --ngpu 1
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
set -euo pipefail
# shellcheck source=rows.sh
. "$(dirname "${BASH_SOURCE[0]}")/rows.sh"
table_begin 3 "$@"
name=$1
read -r -a layers <<< "$2"
read -r -a clusters <<< "$3"
shift 3

list() { # A B C -> [A,B,C]
  local IFS=,
  echo "[$*]"
}
one=(
  "pseudo_labels.layers=[${layers[${#layers[@]} / 2]}]"
  "pseudo_labels.clusters=[${clusters[${#clusters[@]} / 2]}]"
)
all=("pseudo_labels.layers=$(list "${layers[@]}")" "pseudo_labels.clusters=$(list "${clusters[@]}")")
ce=main.model_conf.loss=ce
phases=(teacher pseudo_labels frames main)

reference "${name}_linear" "$@"
row "${name}_finetune" gmp_tl/no_frame_stage "$@" --set "$ce"
row "${name}_single" gmp_tl/no_gender "$@" --set "${one[@]}" "$ce"
share "${name}_single" "${name}_multi" teacher
row "${name}_multi" gmp_tl/no_gender "$@" --set "${all[@]}" "$ce"
row "${name}_gender" gmp_tl/ce "$@" --set "${all[@]}"
share "${name}_gender" "${name}_am_softmax" teacher pseudo_labels frames
row "${name}_am_softmax" gmp_tl "$@" --set "${all[@]}"
python -m sertl.bin.compare --table "${experiments[@]}" --out "exp/${name}_table.md"
log "done: $PWD/exp/${name}_table.md"
