#!/usr/bin/env bash
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
# Sourced by scripts that make a table: the experiments that are the rows of a table.
#   table_begin N "$@"            in a recipe's folder, with N words before the options of run.sh; or
#                                 leaves with the script's own help
#   share FROM TO PHASE…          TO starts with finished phases of FROM's folds and seeds
#   row TAG METHOD [options…]     ./run.sh; the experiment is a row of the table
#   reference TAG [options…]      the row of method linear, with the options but without their --set
# Set by row: experiments, the rows so far. Set before: phases, of which not all rows have all.

# shellcheck source=../../path.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../path.sh"
table_script=$(realpath "$0") # wherever the script goes
experiments=()
phases=()

table_begin() {
  local needed=$1 i word
  shift
  for (( i = 1; i <= needed; i++ )); do
    word=${!i:--} # the i-th word, or a dash if there is none
    if [[ $word == -* ]]; then
      sed -n '2,/^# Copyright/{/^# Copyright/d;s/^# \{0,1\}//p}' "$table_script" >&2
      exit 1
    fi
  done
  [[ -x ./run.sh ]] || die "$PWD is no recipe: there is no run.sh"
}

# A phase is its folder, or another one with a fingerprint. It is linked, not copied; run.sh
# takes it if it was made from the same inputs, and else stops and names the difference.
share() {
  local from=exp/$1 to=exp/$2 phase folder target
  shift 2
  for folder in "$from"/seed*/fold*; do
    for phase in "$@"; do
      target=$to/${folder#"$from/"}/$phase
      if [[ -e $target ]] || ! grep -qs '"state": "done"' "$folder/$phase/fingerprint.json"; then
        continue
      fi
      mkdir -p "${target%/*}"
      rm -rf "$target.copy" # of an interrupted run
      cp -al "$folder/$phase" "$target.copy" # a name of its own until it is whole
      mv "$target.copy" "$target"
    done
  done
}

# What the method has of phases, and of stages 4 and 5.
_phases_of() { # METHOD
  python -c 'import sys
from sertl.config import load_method
conf = load_method(*sys.argv[1:])
print(*(phase["name"] for phase in conf["phases"]), *({"teacher", "pseudo_labels"} & conf.keys()))
' "$SERTL_ROOT/conf" "$1"
}

# A setting of a phase that only other rows have, as teacher.optim_conf.epochs=5 for plain fine-tuning,
# is left out. phases: of all rows.
row() {
  local tag=$1 method=$2 own word words=(--method "$2" --tag "$1")
  shift 2
  own=" $(_phases_of "$method") "
  for word in "$@"; do
    # only key=value: the path ../corpus has no phase before its dot
    if [[ $word == ?*.*=* && " ${phases[*]} " == *" ${word%%.*} "* && $own != *" ${word%%.*} "* ]]; then
      continue
    fi
    # of a --set all of whose words were left out, nothing stays
    if [[ $word == --* && ${words[-1]} == --set ]]; then unset "words[-1]"; fi
    words+=("$word")
  done
  if [[ ${words[-1]} == --set ]]; then unset "words[-1]"; fi
  log "$tag"
  ./run.sh "${words[@]}"
  experiments+=("exp/$tag")
}

# The floor under every table: solved heads on the frozen encoder, in seconds.
reference() {
  local tag=$1 word words=() encoder=() kept=true
  shift
  for word in "$@"; do
    if [[ $word == --* ]]; then kept=true; fi
    if [[ $word == --set ]]; then kept=false; fi
    if [[ $kept == true ]]; then words+=("$word"); fi
    if [[ $word == upstream.*=* ]]; then encoder+=("$word"); fi # another encoder, so for all rows
  done
  if (( ${#encoder[@]} )); then words+=(--set "${encoder[@]}"); fi
  row "$tag" linear "${words[@]}"
}
