#!/usr/bin/env bash
# The whole table of a pair: source only, target only, pooled and two-stage, with 10, 30 and 100 % of
# the target's training data. The first stage is trained once. Result: exp/<name>_table.md.
#
# Usage: local/run_table.sh NAME METHODS [options of run.sh, but --tag, --method, --phase]
#
#   NAME      beginning of the experiments' tags, e.g. nemo_emodb
#   METHODS   folder in conf/method: adapt (PEFT, audio) or adapt_probe (dumped features)
#
# Example: local/run_table.sh nemo_emodb adapt_probe --pair nemo_emodb --upstream whisper_tiny_en \
#            --ckpt /models/whisper-tiny.en --seed "1 2 3"
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
set -euo pipefail
# shellcheck source=../../../tools/tables/rows.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../../tools/tables/rows.sh"
cd "$(dirname "$table_script")/.."
table_begin 2 "$@"
name=$1
methods=$2
shift 2

row "${name}_source_only" "$methods/source_only" "$@"
for share in 0.1 0.3 1.0; do
  row "${name}_target_only_$share" "$methods/target_only" "$@" --set "data_conf.share=$share"
  row "${name}_pooled_$share" "$methods/pooled" "$@" --set "data_conf.share=$share"
  row "${name}_two_stage_$share" "$methods/two_stage" "$@" --phase target \
    --set "target.init.from=exp/${name}_source_only" "target.data_conf.share=$share"
done
python -m sertl.bin.adaptation "${experiments[@]}" --out "exp/${name}_table.md"
log "done: $PWD/exp/${name}_table.md"
