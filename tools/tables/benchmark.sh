#!/usr/bin/env bash
# Encoders x corpora x methods: every cell through its recipe's run.sh, then one table and a heat map.
# Resumable: what is finished is skipped. A cell whose checkpoint or corpus is not there is named and
# skipped; one that fails is named, and the others go on. Result: <out>/RESULTS.md and heat_map.png.
#
#   tools/tables/benchmark.sh --corpora emodb=/corpora/emodb nemo:nemo30=/corpora/nemo30 \
#     --encoders fbank whisper_tiny_en=/models/whisper-tiny.en wavlm_large=/models/wavlm-large \
#     --methods linear probe
#
# A corpus is RECIPE=FOLDER, with RECIPE:POLICY or RECIPE:POLICY:PROTOCOL where these are not the
# recipe's own; an encoder is NAME=CHECKPOINT, or NAME where it needs none. Options:
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
set -euo pipefail
script=$(realpath "$0")
here=$PWD
# shellcheck source=../../path.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../path.sh"

# options
corpora=()           # RECIPE[:POLICY[:PROTOCOL]]=FOLDER …
encoders=()          # NAME[=CHECKPOINT] …
methods=()           # files in conf/method; none: linear probe
speaker_norm=""      # as for run.sh
seed="1"             # as for run.sh
folds=""             # as for run.sh
nj=2                 # processes side by side in a cell
ngpu=0               # as for run.sh
out=benchmark        # folder of the table
set=()               # key=value …, as for run.sh, in all cells
# end of options
# shellcheck source=../parse_options.sh
. "$SERTL_ROOT/tools/parse_options.sh"
(( ${#corpora[@]} )) || die "--corpora is needed (see --help)"
(( ${#encoders[@]} )) || die "--encoders is needed (see --help)"
if (( ${#methods[@]} == 0 )); then methods=(linear probe); fi
out=$(cd "$here" && realpath -m "$out")
mkdir -p "$out/logs"
cells=$out/cells.tsv
: > "$cells.new"

# What keeps an encoder from being used, in a line; nothing if it can be.
encoder_lacks() { # NAME CHECKPOINT
  if [[ -n $2 && ! -e $2 ]]; then echo "no checkpoint $2"; return; fi
  (cd "$SERTL_ROOT" && python -c 'import sys
from sertl.errors import SertlError
from sertl.upstream.build import entry, load_conf
name, ckpt = sys.argv[1:]
try:
    entry(load_conf(name, "conf/upstream", {"ckpt": ckpt} if ckpt else None))
except SertlError as error:
    print(error)' "$1" "$2")
}

common=(--seed "$seed" --folds "$folds" --nj "$nj" --ngpu "$ngpu" --speaker-norm "$speaker_norm")
if (( ${#set[@]} )); then common+=(--set "${set[@]}"); fi
failed=0
declare -A lacks=()
for encoder in "${encoders[@]}"; do
  name=${encoder%%=*}
  ckpt=
  if [[ $encoder == *=* ]]; then ckpt=$(cd "$here" && realpath -m "${encoder#*=}"); fi
  for corpus in "${corpora[@]}"; do
    [[ $corpus == *=* ]] || die "--corpora $corpus: expected RECIPE=FOLDER"
    IFS=: read -r recipe policy protocol <<< "${corpus%%=*}"
    folder=$(cd "$here" && realpath -m "${corpus#*=}")
    [[ -x $SERTL_ROOT/egs/$recipe/run.sh ]] || die "--corpora $corpus: there is no egs/$recipe"
    for method in "${methods[@]}"; do
      why=
      if [[ ! -d $folder ]]; then
        why="no corpus $folder"
      else
        if [[ -z ${lacks[$encoder]+set} ]]; then lacks[$encoder]=$(encoder_lacks "$name" "$ckpt"); fi
        why=${lacks[$encoder]}
      fi
      tag=bench_${name}_${method//\//-}${policy:+_$policy}${protocol:+_$protocol}${speaker_norm:+_$speaker_norm}
      if [[ -z $why ]]; then
        log "$recipe $name $method -> egs/$recipe/exp/$tag"
        log_file=$out/logs/$recipe.$tag.log
        if ! (cd "$SERTL_ROOT/egs/$recipe" && ./run.sh --corpus-dir "$folder" --policy "$policy" \
          --protocol "$protocol" --upstream "$name" --ckpt "$ckpt" --method "$method" --tag "$tag" \
          "${common[@]}") > "$log_file" 2>&1; then
          why="failed: $(tail -n 1 "$log_file")"
          failed=1
        fi
      fi
      if [[ -n $why ]]; then log "$recipe $name $method: skipped, $why"; fi
      printf '%s\t%s\t%s\t%s\t%s\n' "${corpus%%=*}" "$name" "$method" \
        "$SERTL_ROOT/egs/$recipe/exp/$tag" "${why//$'\t'/ }" >> "$cells.new"
    done
  done
done
mv "$cells.new" "$cells"
python -m sertl.bin.benchmark "$cells" --out "$out" --reference "$SERTL_ROOT/conf/reference_results.yaml"
log "done: $out/RESULTS.md and heat_map.png"
exit "$failed"
