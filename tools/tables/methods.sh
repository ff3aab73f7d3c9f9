#!/usr/bin/env bash
# Every method that tunes something, under one protocol, against the frozen encoder: the same solved
# start, the same number of updates on the same number of crops, all of them made on training and dev
# speakers. How much of the way from start to result is kept (lambda of 0, 1/4, 1/2, 3/4, 1) say three
# groups of these speakers, each held out of a training once, by loss; of two_stage, whose first stage
# learns emotions too, held out of both stages. Where it can be, the encoder's upper blocks are tuned
# on dumped states. Writes exp/<name>_table.md. Interrupted, it goes on where it was.
#
# Usage, in a recipe's folder:
#   ../../tools/tables/methods.sh NAME FIRST LABELS UPDATES "ROWS" [options of run.sh, but --tag, --method]
#
#   NAME     beginning of the experiments' tags
#   FIRST    hidden state from which the tuned blocks go on, e.g. 2 of Whisper tiny's 4
#   LABELS   hidden states that gmp_tl labels, and numbers of clusters, e.g. "[3,4] [64,256]"
#   UPDATES  of each phase, e.g. 400
#   ROWS     any of linear frozen finetune last_blocks lora dora adapter prefix all_four wap wap_own
#            two_stage two_stage_no_scl two_stage_emo gmp_tl (the two after two_stage without the
#            self-contrastive loss, and with emotion alone in the second stage); or all
#   options  --set goes to the tuned rows only, and last: select_conf.folds=0 select_conf.refit=true
#            select_conf.lambdas=[0.5] chooses nothing and keeps half of the way
#
# Example: ../../tools/tables/methods.sh even 2 "[3,4] [64,256]" 400 all --corpus-dir /corpora/emodb \
#            --upstream whisper_tiny_en --ckpt /models/whisper-tiny.en --speaker-norm online
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
set -euo pipefail
# shellcheck source=rows.sh
. "$(dirname "${BASH_SOURCE[0]}")/rows.sh"
table_begin 5 "$@"
name=$1
first=$2
read -r layers clusters <<< "$3"
updates=$4
chosen=" $5 "
shift 5
if [[ $chosen == " all " ]]; then
  chosen=" linear frozen finetune last_blocks lora dora adapter prefix all_four wap wap_own"
  chosen+=" two_stage two_stage_no_scl two_stage_emo gmp_tl "
fi

options=()
settings=()
target=options
for word in "$@"; do
  if [[ $word == --set ]]; then target=settings; continue; fi
  if [[ $word == --* ]]; then target=options; fi
  if [[ $target == settings ]]; then settings+=("$word"); else options+=("$word"); fi
done

same=(data_conf.batch_size=16 data_conf.crop_sec=1.5 "optim_conf.updates=$updates"
  "optim_conf.eval_updates=$updates")
of_phase() { # PHASE SETTING… -> the settings of this phase alone
  local phase=$1 word
  shift
  for word in "$@"; do echo "${phase:+$phase.}$word"; done
}
tune() { # ROW METHOD LAST SETTINGS…: the last phase keeps what groups of speakers chose
  local row=$1 method=$2 last=$3
  local -a kept
  shift 3
  mapfile -t kept < <(of_phase "$last" select=last select_conf.folds=3 \
    "select_conf.lambdas=[0,0.25,0.5,0.75,1]")
  row "${name}_$row" "$method" "${options[@]}" --set "${same[@]}" "${kept[@]}" "$@" "${settings[@]}"
}
upper=("upstream_conf.from_layer=$first")
in_two_stages() { # ROW METHOD: the first stage is that of row two_stage, where there is one
  if [[ $1 != two_stage ]]; then share "${name}_two_stage" "${name}_$1" phase1; fi
  tune "$1" "$2" phase2 "${upper[@]}" phase1.select_conf.folds=3 phase1.optim_conf.lr=1e-4 \
    phase1.optim_conf.lr_scale.heads=0.1 phase1.optim_conf.lr_scale.ctc=10 phase1.data_conf.crop_sec=0
}

for one in $chosen; do
  case $one in
    linear) reference "${name}_linear" "${options[@]}" --set "${settings[@]}" ;;
    frozen) # last, so that no setting takes the place of its own
      settings_were=("${settings[@]}")
      settings+=(optim_conf.epochs=0 optim_conf.updates=0 select_conf.folds=0 select_conf.refit=true
        "select_conf.lambdas=[1.0]")
      tune frozen peft/head main "${upper[@]}"
      settings=("${settings_were[@]}")
      ;;
    finetune) tune finetune finetune main upstream_conf.from_layer=0 ;;
    last_blocks) tune last_blocks peft/last_blocks main "${upper[@]}" ;;
    all_four) tune all_four peft main "${upper[@]}" ;;
    lora | dora | adapter | prefix) tune "$one" "peft/$one" main "${upper[@]}" ;;
    wap) tune wap wap main ;;
    wap_own) tune wap_own local_attributes finetune ;;
    two_stage) in_two_stages two_stage two_stage ;;
    two_stage_no_scl) in_two_stages two_stage_no_scl two_stage/no_fusion ;;
    two_stage_emo) in_two_stages two_stage_emo two_stage/all_adapters ;;
    gmp_tl)
      tune gmp_tl gmp_tl main "${upper[@]}" "pseudo_labels.layers=$layers" \
        "pseudo_labels.clusters=$clusters" ;;
    *) die "there is no row $one" ;;
  esac
done
python -m sertl.bin.compare --table "${experiments[@]}" --out "exp/${name}_table.md"
log "done: $PWD/exp/${name}_table.md"
