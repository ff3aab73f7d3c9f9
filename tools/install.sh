#!/usr/bin/env bash
# Create tools/venv and install sertl with the versions it was tested with.
#
# Usage: tools/install.sh [--python PYTHON] [--torch keep|SPEC | --locked] [--venv DIR]
#
#   --python PYTHON  interpreter of the environment (3.10 or later) [python3]
#   --venv DIR       where the environment goes [tools/venv]
#   --torch keep     bring your own torch and torchaudio: the environment sees the packages of
#                    PYTHON (venv --system-site-packages), and torch is not installed
#   --torch "ARGS"   arguments for pip that install torch and torchaudio, from one source, e.g.
#                    --torch "torch==2.11.0 torchaudio==2.11.0 --index-url https://download.pytorch.org/whl/cpu"
#                    (CPU only, much smaller) or .../whl/cu126 for another CUDA
#
#   --locked         every package as in tools/lock.txt, each file checked against its hash there
#
# By default both come from PyPI: they carry CUDA and also run without a GPU (about 5 GB).
# To use an environment of your own instead, activate it, "pip install -e .[train,mini,test]", and
# sertl's scripts take it as it is.
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/tools/log.sh"

python=python3
venv=$root/tools/venv
torch="torch==2.11.0 torchaudio==2.11.0"
locked=false
while (( $# > 0 )); do
  case $1 in
    --help | -h)
      sed -n '2,/^# Copyright/{/^# Copyright/d;s/^# \{0,1\}//p}' "$0"
      exit 0
      ;;
    --python | --torch | --venv)
      (( $# > 1 )) || die "$1 needs a value"
      printf -v "${1#--}" '%s' "$2"
      shift 2
      ;;
    --locked)
      locked=true
      shift
      ;;
    *) die "unknown option $1 (see --help)" ;;
  esac
done

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
  die "$python is older than Python 3.10; give another with --python"

if [[ $locked == true ]]; then
  [[ $torch == "torch==2.11.0 torchaudio==2.11.0" ]] || die "--locked brings its own torch"
  rm -f "$venv/.complete"
  "$python" -m venv "$venv"
  log "installing the packages of tools/lock.txt"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes \
    --requirement "$root/tools/lock.txt"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --editable "$root"
  "$venv/bin/python" -m pip check
  touch "$venv/.complete"
  log "installed into $venv"
  exit 0
fi

# Wheels that disagree with the user's constraints would be replaced, so "keep" pins nothing of torch.
constraints=$(mktemp)
trap 'rm -f "$constraints"' EXIT
rm -f "$venv/.complete"
if [[ $torch == keep ]]; then
  "$python" -m venv --system-site-packages "$venv"
  grep -v -i -E '^(torch|torchaudio|triton|nvidia|cuda|numpy)' "$root/tools/constraints.txt" > "$constraints"
else
  "$python" -m venv "$venv"
  grep -v -i -E '^(torch|torchaudio|triton|nvidia|cuda)' "$root/tools/constraints.txt" > "$constraints"
  log "installing $torch"
  read -r -a torch_args <<< "$torch"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "${torch_args[@]}"
fi
log "installing sertl and its packages"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  --constraint "$constraints" --editable "${root}[train,onnx,export,timeline,serve,mini,cluster,test]"
touch "$venv/.complete"
log "installed into $venv"
