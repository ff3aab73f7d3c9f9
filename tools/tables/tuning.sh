#!/usr/bin/env bash
# What tuning gains above the frozen encoder: all rows start from the same solved head, make the same
# number of updates, and choose update and lambda by the emotion loss of the dev speakers. Writes
# exp/<name>_table.md. Interrupted, it goes on where it was.
#
# Usage, in a recipe's folder: ../../tools/tables/tuning.sh NAME FIRST "ROWS" [options of run.sh]
#
#   NAME     beginning of the experiments' tags
#   FIRST    hidden state from which the rows top_… go on (stage 3 dumps it), e.g. 2 of Whisper tiny's 4
#   ROWS     any of linear frozen all_ser all_ser_asr top_ser top_ser_asr lora lora_asr; or all
#   options  but --tag and --method; --set goes to the tuned rows only
#
# Example: ../../tools/tables/tuning.sh tune 2 all --corpus-dir /corpora/emodb --upstream whisper_tiny_en \
#            --ckpt /models/whisper-tiny.en --speaker-norm online --seed "1 2 3"
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
set -euo pipefail
# shellcheck source=rows.sh
. "$(dirname "${BASH_SOURCE[0]}")/rows.sh"
table_begin 3 "$@"
name=$1
first=$2
chosen=" $3 "
shift 3
if [[ $chosen == " all " ]]; then
  chosen=" linear frozen all_ser all_ser_asr top_ser top_ser_asr lora lora_asr "
fi

options=()
settings=()
target=options
for word in "$@"; do
  if [[ $word == --set ]]; then target=settings; continue; fi
  if [[ $word == --* ]]; then target=options; fi
  if [[ $target == settings ]]; then settings+=("$word"); else options+=("$word"); fi
done

tuned=(select=dev_emo_loss optim_conf.updates=250 optim_conf.eval_updates=50 optim_conf.lr=1e-4
  optim_conf.lr_scale.heads=0.1)
asr=(model_conf.weights.asr=0.5 optim_conf.lr_scale.ctc=10)
lora=(upstream_conf.tune=none "upstream_conf.peft.lora={rank: 8, alpha: 8, targets: [q, k, v, out, ffn]}"
  optim_conf.lr=1e-3 optim_conf.lr_scale.heads=0.01)
tune() { # ROW METHOD SETTINGS…
  local row=$1 method=$2
  shift 2
  row "${name}_$row" "$method" "${options[@]}" --set "${tuned[@]}" "$@" "${settings[@]}"
}

for one in $chosen; do
  case $one in
    linear) reference "${name}_linear" "${options[@]}" --set "${settings[@]}" ;;
    frozen) # last, so that no budget among the options takes its place
      settings_were=("${settings[@]}")
      settings+=(optim_conf.epochs=0 optim_conf.updates=0)
      tune frozen two_stage/all_ser
      settings=("${settings_were[@]}")
      ;;
    all_ser) tune all_ser two_stage/all_ser ;;
    all_ser_asr) tune all_ser_asr two_stage/all_ser_asr "${asr[@]}" ;;
    top_ser) tune top_ser two_stage/all_ser "upstream_conf.from_layer=$first" ;;
    top_ser_asr) tune top_ser_asr two_stage/all_ser_asr "upstream_conf.from_layer=$first" "${asr[@]}" ;;
    lora) tune lora two_stage/all_ser "${lora[@]}" ;;
    lora_asr) tune lora_asr two_stage/all_ser_asr "${lora[@]}" "${asr[@]}" optim_conf.lr_scale.ctc=1 ;;
    *) die "there is no row $one" ;;
  esac
done
python -m sertl.bin.compare --table "${experiments[@]}" --out "exp/${name}_table.md"
log "done: $PWD/exp/${name}_table.md"
