#!/usr/bin/env bash
# Methods x encoders x corpora x seeds in one call: prepared and dumped once each, then one list of
# jobs for this machine or a cluster, then scores, reports and a table of each corpus.
#
#   tools/grid.sh --name first --corpus "emodb --corpus-dir /corpora/emodb" \
#     --corpus "nemo --corpus-dir /corpora/nEMO" --upstream "whisper_tiny_en --ckpt /models/tiny.en" \
#     --method linear --method "lora4=peft/lora --set upstream_conf.peft.lora.rank=4" \
#     --seed "1 2 3" --cluster slurm --cluster-set partition=cpu time=240
#
# A choice is quoted: [LABEL=]NAME, then options of run.sh that go with it. Each experiment is
# egs/CORPUS/exp/NAME_UPSTREAM_METHOD, and egs/CORPUS/exp/NAME_table.md compares them with the first
# method. A job that fails keeps no other waiting. Killed, the same command goes on. Options:
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
set -euo pipefail
script=$(realpath "$0")
. "$(dirname "$script")/../path.sh"

# shellcheck disable=SC2034 # read by name
# options
name=""              # with which all tags begin
corpus=()            # a recipe in egs/, with its options in one word; once for each
upstream=()          # an encoder in conf/upstream, likewise
method=()            # a method in conf/method, likewise; the first is the table's reference
options=""           # of run.sh for every experiment, in one word: --options="--folds 1 --nj 4"
seed="1"             # one training each, e.g. "1 2 3"
nj=2                 # processes side by side on this machine
ngpu=0               # cards of a training; 0: CPU
cluster=local        # local or slurm
cluster_set=()       # key=value …: options of sbatch
# end of options
. "$SERTL_ROOT/tools/parse_options.sh"
. "$SERTL_ROOT/tools/jobs.sh"

cells=$(mktemp)
trap 'rm -f "$cells"' EXIT
python -m sertl.bin.grid_cells --egs "$SERTL_ROOT/egs" --name "$name" --corpus "${corpus[@]}" \
  --upstream "${upstream[@]}" --method "${method[@]}" --options "$options" > "$cells"
mapfile -d '' -t words < "$cells"
folders=() tags=() starts=() counts=()
for (( i = 0; i < ${#words[@]}; i += 3 + words[i + 2] )); do
  folders+=("${words[i]}") tags+=("${words[i + 1]}") starts+=($(( i + 3 ))) counts+=("${words[i + 2]}")
done
cell() { # NUMBER OPTION…: that cell's run.sh
  cd "${folders[$1]}"
  job ./run.sh "${words[@]:starts[$1]:counts[$1]}" --seed "$seed" --nj "$nj" --ngpu "$ngpu" "${@:2}"
}

log "grid $name: ${#tags[@]} experiments"
for i in "${!tags[@]}"; do
  log "${tags[i]}: data and hidden states"
  cell "$i" --stop-stage 3
done
list=${folders[0]}/exp/$name.grid/jobs.jsonl
mkdir -p "${list%/*}"
: > "$list"
for i in "${!tags[@]}"; do cell "$i" --stage 4 --stop-stage 7 --list-jobs "$list"; done

status=0
job python -m sertl.bin.run_jobs --parent $$ --jobs "$list" --nj "$nj" --cluster "$cluster" \
  --cluster-set "${cluster_set[@]}" || status=1
declare -A rows=()
for i in "${!tags[@]}"; do
  if cell "$i" --stage 8; then
    rows[${folders[i]}]+=" exp/${tags[i]}"
  else
    log "${tags[i]}: not whole, and so not in the table"
    status=1
  fi
done
for folder in "${!rows[@]}"; do
  cd "$folder"
  read -r -a experiments <<< "${rows[$folder]}"
  job python -m sertl.bin.compare --table "${experiments[@]}" --out "exp/${name}_table.md"
  log "$folder/exp/${name}_table.md"
done
exit "$status"
