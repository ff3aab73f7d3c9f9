#!/usr/bin/env bash
# A recipe from corpus to report, in ten stages. Results: exp/<tag>/RESULTS.md and report.html.
#
#   ./run.sh --corpus-dir /corpora/IEMOCAP                            everything: the frozen encoder at its best
#   ./run.sh --stage 3 --stop-stage 6                                 some stages
#   ./run.sh --upstream wavlm_large --method sap --seed "1 2 3"       another encoder and method
#   ./run.sh --method probe --set optim_conf.lr=1e-3 data_conf.layers=last
#
# Finished work is recognised and skipped; work made from other inputs stops with the difference
# (then --redo, or another --tag). Options:
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
set -euo pipefail
script=$(realpath "$0")
cd "$(dirname "${BASH_SOURCE[0]}")"
. ../../path.sh

# options
stage=0              # first stage
stop_stage=9         # last stage
corpus_dir=""        # root of the corpus; empty: local/download.sh gets it, where there is one
upstream=wavlm_base_plus # encoder: a file in conf/upstream, without .yaml
ckpt=""              # the upstream's weights: a file or a Hugging Face folder; empty: what its conf says
speaker_norm=""      # none, offline (all unlabelled clips of a speaker) or online (those up to now); empty: the method's
pool=""              # stage 3 stores statistics of the frames, e.g. mean,std,max,q90; empty: what the method needs; none: frames
unlabelled=""        # speech for a method's phase pretrain: data directories, and fold: its training set
init_wap=""          # --method wap: experiment, or phase folder, whose trained WAP adapter it starts from
method=linear        # method: a file in conf/method, without .yaml
policy=""            # label policy of conf/corpus.yaml; empty: the corpus's default
pair=""              # in egs/adaptation: source and target, a file in conf/pairs, without .yaml
prepare=()           # key=value …: options of this corpus's local/prepare_data.py, where it has any (egs/table)
protocol=""          # loso, loso10, superb, fixed, official; empty: the corpus's default
folds=""             # e.g. "1 2"; empty: all
seed="1"             # one training each, e.g. "1 2 3"
phase=""             # stage 6: only this phase of the method
nj=2                 # processes side by side
ngpu=0               # 0: CPU; 1: one GPU; more: torchrun with as many processes
nnodes=1             # machines of one training, for stages 4 and 6 alone: docs/cluster.md
node_rank=""         # which of them this is, from 0; empty: as Slurm says
rendezvous=""        # HOST:PORT of the first of them; empty: as Slurm says
cluster=local        # where the jobs of stages 4 to 7 run: local, --nj side by side, or slurm
cluster_set=()       # key=value …: options of sbatch, as partition=gpu time=240 mem=8G; the folder's cmd.sh sets both
list_jobs=""         # a file: stages 4 to 7 add their jobs to it and run nothing
set=()               # key=value …: change any key of a phase, pseudo_labels, the method or upstream.*: docs/keys.md
tag=""               # name below exp/; empty: made of upstream, method and what was set
token_type=char      # stage 2, where there is text: char, bpe or none
corpus_conf=conf/corpus.yaml # labels, counts, folds of the corpus
conf_dir=../../conf  # upstream/, method/
allow_subset=false   # accept other counts than conf/corpus.yaml expects
shard=""             # i/N: only the i-th of N parts, of stage 1 or 3, or of the folds and seeds of 4 to 7: docs/cluster.md
redo=false           # delete the chosen stages' output and start again
# end of options
# shellcheck source=/dev/null
if [[ -f conf/defaults.sh ]]; then . conf/defaults.sh; fi # the recipe's own defaults
# shellcheck source=/dev/null
if [[ -f cmd.sh ]]; then . ./cmd.sh; fi # and the site's
command="cd egs/${PWD##*/} && ./run.sh"
for word in "$@"; do printf -v command '%s %q' "$command" "$word"; done
. ../../tools/parse_options.sh
. ../../tools/jobs.sh
seed=$(whole_numbers --seed "$seed")
folds=$(whole_numbers --folds "$folds")
[[ -n $seed ]] || die "--seed needs a number"
(( stage <= stop_stage && stop_stage <= 9 )) || die "stages are 0 to 9, got $stage to $stop_stage"
(( nj >= 1 )) || die "--nj is $nj, expected 1 or more"
parts=()
if [[ -n $shard ]]; then # several machines are at the same stages, so that none may need another's
  [[ $shard =~ ^([0-9]{1,6})/([0-9]{1,6})$ ]] || die "--shard $shard: expected i/N, as in 3/16"
  this_part=$(( 10#${BASH_REMATCH[1]} )) num_parts=$(( 10#${BASH_REMATCH[2]} ))
  (( 1 <= this_part && this_part <= num_parts )) || die "--shard $shard: expected i from 1 to N"
  (( stage == stop_stage && (stage == 1 || stage == 3) || 4 <= stage && stop_stage <= 7 )) \
    || die "--shard is for --stage 1, for --stage 3, or for some of 4 to 7; then go on without it"
  parts=(--shard "$shard")
fi

listed=()
if [[ -n $list_jobs ]]; then
  (( 4 <= stage && stop_stage <= 7 )) || die "--list-jobs is for some of stages 4 to 7"
  listed=(--list "$list_jobs")
fi
[[ $cluster == local || $cluster == slurm ]] || die "--cluster is local or slurm, got '$cluster'"
if (( nnodes != 1 )); then
  (( nnodes >= 1 )) || die "--nnodes: at least one machine"
  [[ $cluster == slurm ]] || (( stage == stop_stage && (stage == 4 || stage == 6) )) \
    || die "--nnodes is for --stage 4 or 6 alone, on each machine; or for --cluster slurm"
fi

[[ -z $pair || -z $policy ]] || die "here a pair of corpora is chosen, by --pair; --policy is not for it"
policy=$policy$pair
variant=${policy:+$policy/}${protocol:+$protocol/}
all=data/${policy:+$policy/}all
data=data/${variant%/}
data=${data%/}
flags=()
if [[ $redo == true ]]; then flags+=(--redo); fi
subset=()
if [[ $allow_subset == true ]]; then subset+=(--allow-subset); fi
if [[ -f local/describe.py ]]; then corpus_conf=data/${policy:+$policy/}corpus.yaml; fi
corpus=(--conf "$corpus_conf" --policy "$policy")
own=()
if (( ${#prepare[@]} )); then own=(--prepare "${prepare[@]}"); fi
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} # processes side by side beat threads

# The same command again, with nothing changed since it ended, has nothing to do.
asked=""
while IFS= read -r name; do
  declare -n value=$name
  asked+="$name=${value[*]-}"$'\n'
  unset -n value
done < <(_options_block | sed 's/=.*//')
code=("$conf_dir" "$corpus_conf" run.sh local)
for item in "${prepare[@]}"; do # a table that was edited since makes another run
  for file in "${item#*=}" "$corpus_dir/${item#*=}"; do
    if [[ -f $file ]]; then code+=("$file"); fi
  done
done
if [[ $redo == false && -d exp/.finished ]] && job python -m sertl.bin.finished --asked "$asked" --code "${code[@]}"; then
  log "stages $stage to $stop_stage: finished before, from the same inputs and options"
  exit 0
fi

# The configuration is resolved before anything runs, so that a misspelt key costs no time.
configure=(python -m sertl.bin.configure --conf-dir "$conf_dir" --upstream "$upstream"
  --method "$method" --ckpt "$ckpt" --tag "$tag" --variant "${variant%/}"
  --speaker-norm "$speaker_norm" --pool "$pool" --unlabelled "$unlabelled" --init-wap "$init_wap"
  --data "$data" --dump "dump/${policy:+$policy}"
  --set "${set[@]}")
save=()
if (( stop_stage >= 3 )); then save=(--save --command "$command" "${flags[@]}"); fi
settings=$(mktemp)
trap 'rm -f "$settings"' EXIT
job "${configure[@]}" "${save[@]}" > "$settings"
declare -A run=()
while IFS='=' read -r key value; do run[$key]=$value; done < "$settings"
[[ -z $phase || " ${run[phases]} " == *" $phase "* ]] \
  || die "--phase $phase: $method has ${run[phases]}"
exp=exp/${run[tag]}
dump=${run[dump]}

upstream_set=() # upstream.dtype=bf16 -> dtype=bf16
for item in "${set[@]}"; do
  if [[ $item == upstream.* ]]; then upstream_set+=("${item#upstream.}"); fi
  if [[ $item == upstream.dtype=auto ]]; then upstream_set+=("dtype=${run[dtype]}"); fi
done

in_stage() { (( stage <= $1 && $1 <= stop_stage )); }

if in_stage 0; then
  log "Stage 0: get the corpus, or check that the given root is one"
  if [[ -z $corpus_dir && -x local/download.sh ]]; then job local/download.sh downloads; fi
fi
if [[ -z $corpus_dir && -d downloads ]]; then corpus_dir=downloads; fi
if (( stage <= 1 )); then
  [[ -n $corpus_dir ]] || die "give the corpus's root with --corpus-dir (see README.md)"
fi
if (( stage <= 1 )) && [[ -f local/describe.py ]]; then # data that no conf/corpus.yaml describes
  job python local/describe.py --corpus-dir "$corpus_dir" "${corpus[@]}" "${own[@]}"
fi
if in_stage 0; then
  job python local/prepare_data.py --corpus-dir "$corpus_dir" "${corpus[@]}" "${own[@]}" \
    "${subset[@]}" --check-only
fi

if in_stage 1; then
  log "Stage 1: $corpus_dir -> $all, with the counts of $corpus_conf"
  job python local/prepare_data.py --corpus-dir "$corpus_dir" "${corpus[@]}" --out "$all" --nj "$nj" \
    "${own[@]}" "${subset[@]}" "${flags[@]}" "${parts[@]}"
  if [[ -z $shard ]]; then job python -m sertl.bin.validate_data_dir "$all"; fi
fi

if in_stage 2; then
  log "Stage 2: folds and tokenizers -> $data/fold<k>/{train,dev,test}"
  make_folds=(python -m sertl.bin.make_folds)
  if [[ -f local/make_folds.py ]]; then
    make_folds=(python local/make_folds.py --corpus-dir "$corpus_dir")
  fi
  job "${make_folds[@]}" --data "$all" "${corpus[@]}" --protocol "$protocol" --out "$data" \
    --token-type "$token_type" "${flags[@]}"
fi

if (( stop_stage >= 3 )); then
  [[ -f $data/num_folds ]] || die "$data/num_folds is missing; run stage 2 first"
  num_folds=$(< "$data/num_folds")
  if [[ -z $folds ]]; then folds=$(seq -s ' ' "$num_folds"); fi
  for fold in $folds; do
    [[ -d $data/fold$fold ]] || die "--folds: there is no fold $fold; $data has 1 to $num_folds"
  done
  sets=(test)
  for part in dev source_test; do
    if [[ -d $data/fold1/$part ]]; then sets+=("$part"); fi
  done
fi

if in_stage 3; then
  if [[ ${run[dumped]} == true ]]; then
    read -r -a sources <<< "$all ${run[other_data]}"
    read -r -a dumps <<< "$dump ${run[other_dumps]}"
    read -r -a frames <<< "${run[frames]} ${run[other_frames]}"
    what="frames, which $method needs"
    pooled=()
    if [[ -n ${run[pool]} ]]; then what="${run[pool]} of the frames"; pooled=(--pool "${run[pool]}"); fi
    if [[ ${run[normalise]} == true ]]; then pooled+=(--normalise); fi
    if [[ -n ${run[dump_layers]} ]]; then
      what="from which $method goes on"
      pooled=(--layers "${run[dump_layers]}" --float32 --resumed)
    fi
    for i in "${!sources[@]}"; do
      log "Stage 3: hidden states of $upstream ($what), ${sources[i]} -> ${dumps[i]}"
      job python -m sertl.bin.dump_feats --data "${sources[i]}" --upstream "$upstream" --ckpt "$ckpt" \
        --conf-dir "$conf_dir" --out "${dumps[i]}" --nj "$nj" --ngpu "$ngpu" \
        --set "${upstream_set[@]}" "${pooled[@]}" --frames "${frames[i]}" "${flags[@]}" "${parts[@]}"
    done
  else
    log "Stage 3: skipped, $method reads audio"
  fi
fi

# Stages 4 to 7: a job for each fold of each seed and stage, with a log file each, as soon as the one
# before it has ended and there is a place. Where a fold takes seconds (pooled features), the folds of
# a seed are dealt out to as many processes as may run.
if (( stage <= 7 && 4 <= stop_stage )); then
  what=([4]="train the teacher of $method" [5]="cluster hidden states and label frames"
    [6]="train $method (${run[phases]})" [7]="decode ${sets[*]}")
  stages=""
  for number in 4 5 6 7; do
    in_stage "$number" || continue
    if [[ $number == 4 && ${run[teacher]} != true ]]; then
      log "Stage 4: skipped, $method has no teacher"
    elif [[ $number == 5 && ${run[pseudo_labels]} != true ]]; then
      log "Stage 5: skipped, $method has no pseudo-labels"
    else
      stages+=" $number"
      log "Stage $number: ${what[number]}, folds $folds, seeds $seed -> $exp"
    fi
  done
  if [[ -n $stages ]]; then
    job python -m sertl.bin.run_jobs --parent $$ --exp "$exp" --stages "$stages" --seeds "$seed" --folds "$folds" \
      --sets "${sets[@]}" --phase "$phase" --nj "$nj" --ngpu "$ngpu" --nnodes "$nnodes" \
      --node-rank "$node_rank" --rendezvous "$rendezvous" --cluster "$cluster" \
      --cluster-set "${cluster_set[@]}" "${listed[@]}" "${flags[@]}" "${parts[@]}"
  fi
fi

if in_stage 8; then
  log "Stage 8: score"
  for part in "${sets[@]}"; do
    job python -m sertl.bin.score --exp "$exp" --set "$part" --folds "$folds" --seeds "$seed" "${flags[@]}"
  done
fi

if in_stage 9; then
  log "Stage 9: report"
  job python -m sertl.bin.report --exp "$exp" --reference "$conf_dir/reference_results.yaml"
  if [[ -x local/finish.sh ]]; then job local/finish.sh "$exp"; fi
  log "done: $PWD/$exp/RESULTS.md and report.html"
fi

if [[ $redo == false ]] && in_stage 9; then
  read -r -a others <<< "${run[reads]} ${run[other_data]} ${run[other_dumps]} ${run[other_frames]}"
  job python -m sertl.bin.finished --asked "$asked" --code "${code[@]}" \
    --record "$all" "$data" "$dump" "$exp" "${others[@]}"
fi
