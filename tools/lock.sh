#!/usr/bin/env bash
# Resolve the versions that sertl is tested with, for every supported Python, with the hashes of
# their files: tools/lock.txt; and the same without hashes: tools/constraints.txt. What is pinned
# there already stays as it is as long as setup.py allows it.
#
# Usage: tools/lock.sh [--upgrade | --upgrade-package NAME]    needs uv (pip install uv)
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/tools/log.sh"
case ${1-} in
  --help | -h)
    sed -n '2,/^# Copyright/{/^# Copyright/d;s/^# \{0,1\}//p}' "$0"
    exit 0
    ;;
esac
command -v uv > /dev/null || die "uv is not there; pip install uv"
cd "$root"
extras=()
for extra in train onnx export timeline serve mini cluster test; do extras+=(--extra "$extra"); done
uv pip compile setup.py "${extras[@]}" --universal --python-version 3.10 --generate-hashes \
  --no-header --no-annotate --no-emit-index-url --output-file tools/lock.txt "$@" > /dev/null
grep -v '^ ' tools/lock.txt | sed 's/ *\\$//' > tools/constraints.txt
log "tools/lock.txt: $(wc -l < tools/constraints.txt) packages"
