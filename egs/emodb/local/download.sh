#!/usr/bin/env bash
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
set -euo pipefail

url=http://emodb.bilderbar.info/download/download.zip
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

usage() {
  cat <<EOF
Usage: local/download.sh [--url URL] DIR

Fetch EmoDB (about 40 MB) and unpack it to DIR/wav. An interrupted download goes on where it
stopped; a complete DIR is left alone. All 535 recordings are compared with local/sha256sums, so a
cut, resampled or damaged copy is refused whatever its source.

  --url URL   another address of the archive, such as file:///mirror/download.zip
              default: ${url}
  DIR         folder to write to, for --corpus-dir of run.sh

EmoDB is CC0-1.0 or CC BY 4.0, depending on who lists it; cite Burkhardt et al., Interspeech 2005.
Needs curl, python3, and sha256sum or shasum.
The unpacking and the checks were tested with an archive made from the original recordings; the
layout of the archive at the address above could not be.
EOF
}

die() { echo "error: $*" >&2; exit 1; }

dir=
while (( $# > 0 )); do
  case $1 in
    --help|-h) usage; exit 0 ;;
    --url=*) url=${1#*=}; shift ;;
    --url) (( $# > 1 )) || die "--url needs an address"; url=$2; shift 2 ;;
    -*) die "unknown option '$1'; see --help" ;;
    *) [[ -z ${dir} ]] || die "one folder expected, got '${dir}' and '$1'"; dir=$1; shift ;;
  esac
done
[[ -n ${dir} ]] || { usage >&2; die "no folder given"; }

sums() { # arguments of sha256sum -c; run in the folder
  if command -v sha256sum > /dev/null; then sha256sum "$@"; else shasum -a 256 "$@"; fi
}
complete() { (cd "${dir}" && sums -c --status "${here}/sha256sums") 2> /dev/null; }
whole_zip() { python3 -m zipfile -t "$1" > /dev/null 2>&1; }

mkdir -p "${dir}"
if complete; then
  echo "EmoDB is complete in ${dir}" >&2
  exit 0
fi
for program in curl python3; do
  command -v "${program}" > /dev/null || die "${program} is needed but not installed"
done

part=${dir}/download.zip.part
if ! whole_zip "${part}"; then
  curl --fail --location --retry 3 --continue-at - --output "${part}" "${url}" \
    || die "download of ${url} failed; run this again to go on (or delete ${part} to start afresh)"
  whole_zip "${part}" || die "${part} is not a zip archive; delete it and run this again"
fi
python3 -m zipfile -e "${part}" "${dir}"
if ! complete; then
  rm "${part}" # or another --url would never be fetched
  (cd "${dir}" && sums -c "${here}/sha256sums" 2> /dev/null) | grep -v ': OK$' >&2 || true
  die "the files above differ from the original recordings; ${url} is not the original release"
fi
rm "${part}"
echo "EmoDB: 535 recordings in ${dir}/wav, all as in the original release" >&2
