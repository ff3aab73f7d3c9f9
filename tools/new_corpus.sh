#!/usr/bin/env bash
# A recipe for a new corpus, egs/<name>, from a template that runs at once: on a few generated tones
# in its folder demo/, which show the layout that its local/prepare_data.py reads until you change it.
#
# Usage: tools/new_corpus.sh NAME
#
#   NAME   small letters, digits and _
#
# A table of your own clips needs no recipe: egs/table.
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
set -euo pipefail
# shellcheck source=../path.sh
. "$(dirname "${BASH_SOURCE[0]}")/../path.sh"
if (( $# != 1 )) || [[ $1 == -* ]]; then
  sed -n '2,/^# Copyright/{/^# Copyright/d;s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2
  exit 1
fi
name=$1
[[ $name =~ ^[a-z][a-z0-9_]*$ ]] || die "the name $name: small letters, digits and _, a letter first"
recipe=$SERTL_ROOT/egs/$name
[[ ! -e $recipe ]] || die "egs/$name is there already"
template=$SERTL_ROOT/tools/templates/corpus

mkdir -p "$recipe"/{conf,local}
trap 'rm -rf "$recipe"' ERR
for file in conf/corpus.yaml local/prepare_data.py README.md; do
  sed "s/NAME/$name/g" "$template/$file" > "$recipe/$file"
done
chmod +x "$recipe/local/prepare_data.py"
ln -s ../iemocap/run.sh "$recipe/run.sh"
python "$SERTL_ROOT/tools/templates/make_tones.py" "$recipe/demo"
printf '/demo/\n' > "$recipe/.gitignore"
trap - ERR

log "egs/$name: try it, then edit conf/corpus.yaml, local/prepare_data.py and README.md"
cat << END
  cd egs/$name
  ./run.sh --corpus-dir demo --upstream fbank --method linear
END
