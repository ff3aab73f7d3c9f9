#!/usr/bin/env bash
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
set -euo pipefail

usage() {
  cat <<EOF
Usage: local/download.sh [--redo] DIR

Make the mini corpus in DIR: 320 utterances of synthetic speech (18 MB, a few seconds). Nothing is
downloaded. A complete DIR is left alone, after its files were compared with DIR/sha256sums.

  --redo   delete DIR and make it again
EOF
}

for argument in "$@"; do
  if [[ ${argument} == --help || ${argument} == -h ]]; then usage; exit 0; fi
done
if (( $# == 0 )); then usage >&2; exit 1; fi
exec python "$(dirname "${BASH_SOURCE[0]}")/make_corpus.py" --seed 1 "$@"
