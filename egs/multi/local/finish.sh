#!/usr/bin/env bash
# After the report: scores of each corpus, in exp/<tag>/BY_CORPUS.md.
#
# Usage: local/finish.sh EXP
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
set -euo pipefail
# shellcheck source=../../../path.sh
. ../../path.sh
python local/by_corpus.py "$1"
log "each corpus by itself: $PWD/$1/BY_CORPUS.md"
