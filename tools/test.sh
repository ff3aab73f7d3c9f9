#!/usr/bin/env bash
# The one test command: installs what is missing, then lint, ShellCheck and pytest.
#
# Usage: tools/test.sh [pytest arguments]
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. ./path.sh
python -c 'import pytest, hypothesis, xdist' 2> /dev/null || die "this Python has sertl's packages \
but not those of its tests: pip install -e '.[train,onnx,export,timeline,serve,mini,cluster,test]'"
jobs=${SERTL_TEST_JOBS:-$(env -u OMP_NUM_THREADS nproc)} # nproc obeys that variable
export OMP_NUM_THREADS=1

log "ruff"
ruff check .
ruff format --check .
log "ShellCheck"
git ls-files -z '*.sh' .ci/run | xargs -0 shellcheck --external-sources --source-path=SCRIPTDIR
log "pytest"
# Files in the order of tests/conftest.py: the long ones first, so that no process waits at the end.
python -m pytest -n "$jobs" --dist loadfile --no-loadscope-reorder "$@"
