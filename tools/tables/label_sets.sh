#!/usr/bin/env bash
# Which layer and how many clusters make good frame pseudo-labels: GMP-TL with one label set, for each
# layer and number of clusters, and the quality of the labels beside the final UA, and that of the last
# step alone. Writes exp/<name>_label_sets.md and .png. The teacher is trained once, or is that of
# gmp_tl.sh with the same name. Interrupted, it goes on where it was.
#
# Usage, in a recipe's folder:
#   ../../tools/tables/label_sets.sh NAME LAYERS CLUSTERS [options of run.sh, but --tag, --method]
#
#   NAME      beginning of the experiments' tags
#   LAYERS    of the teacher, e.g. "3 6 9 12"
#   CLUSTERS  numbers of clusters, e.g. "64 512"
#
# Example: ../../tools/tables/label_sets.sh gmp "3 6 9 12" "64 512" --corpus-dir /corpora/IEMOCAP \
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

phases=(teacher pseudo_labels frames main)
row "${name}_no_labels" gmp_tl/no_frame_stage "$@"
first=${name}_layer${layers[0]}_k${clusters[0]}
share "${name}_gender" "$first" teacher
for layer in "${layers[@]}"; do
  for k in "${clusters[@]}"; do
    tag=${name}_layer${layer}_k$k
    if [[ $tag != "$first" ]]; then share "$first" "$tag" teacher; fi
    row "$tag" gmp_tl "$@" --set "pseudo_labels.layers=[$layer]" "pseudo_labels.clusters=[$k]"
  done
done
python -m sertl.bin.label_quality "${experiments[@]:1}" --reference "${experiments[0]}" \
  --out "exp/${name}_label_sets"
log "done: $PWD/exp/${name}_label_sets.md and .png"
