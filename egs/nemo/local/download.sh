#!/usr/bin/env bash
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
set -euo pipefail

url=https://github.com/amu-cai/nEMO.git
commit=06f1f83dde8f1a780443a57d53b2af3971af34ab

usage() {
  cat <<EOF
Usage: local/download.sh [--url URL] [--commit COMMIT] DIR

Fetch the full release of nEMO (4481 recordings, about 530 MB) from its Git repository: DIR will
hold data.tsv and samples/*.wav. The commit is fixed, and Git compares every file with the hash in
it, so what arrives is what was published. A complete DIR is left alone; files deleted or changed
since are put back. Git cannot resume within a transfer: an interrupted one starts again.

  --url URL         another copy of the repository
                    default: ${url}
  --commit COMMIT   another version; default: ${commit}
  DIR               folder to write to, for --corpus-dir of run.sh

nEMO is CC BY-NC-SA 4.0 (non-commercial); cite Christop, LREC-COLING 2024.
Needs git. Tested with a local repository only, never against the address above; stage 1 compares
the totals with the published ones. The Hugging Face copy, datasets/amu-cai/nEMO, holds Parquet
files instead of samples/ and is not read by this recipe.
EOF
}

die() { echo "error: $*" >&2; exit 1; }

dir=
while (( $# > 0 )); do
  case $1 in
    --help|-h) usage; exit 0 ;;
    --url=*) url=${1#*=}; shift ;;
    --commit=*) commit=${1#*=}; shift ;;
    --url|--commit)
      (( $# > 1 )) || die "$1 needs a value"
      if [[ $1 == --url ]]; then url=$2; else commit=$2; fi
      shift 2 ;;
    -*) die "unknown option '$1'; see --help" ;;
    *) [[ -z ${dir} ]] || die "one folder expected, got '${dir}' and '$1'"; dir=$1; shift ;;
  esac
done
[[ -n ${dir} ]] || { usage >&2; die "no folder given"; }
command -v git > /dev/null || die "git is needed but not installed"

mkdir -p "${dir}"
# Only a repository of its own: a folder inside another working tree must not be mistaken for one.
nemo() { git --git-dir="${dir}/.git" --work-tree="${dir}" "$@"; }
if [[ ! -d ${dir}/.git ]]; then
  git init --quiet "${dir}"
fi
if ! nemo cat-file -e "${commit}^{tree}" 2> /dev/null; then
  nemo fetch --depth 1 "${url}" "${commit}" || die "download of ${url} failed; run this again"
fi
if [[ $(nemo rev-parse --quiet --verify HEAD || true) != "${commit}" ]] \
    || ! nemo diff --quiet HEAD; then
  nemo -c advice.detachedHead=false checkout --quiet --force "${commit}"
fi
[[ -f ${dir}/data.tsv && -d ${dir}/samples ]] \
  || die "${url} at ${commit} holds no data.tsv and samples/; is it nEMO?"
echo "nEMO is complete in ${dir}" >&2
