#!/usr/bin/env bash
# The sound of MELD's films, dia<D>_utt<U>.mp4, as 16 kHz mono WAV beside them. Needs ffmpeg. What is
# there already is kept; a film that cannot be read is named at the end.
#
# Usage: local/extract_audio.sh FOLDER [FOLDER…]
# Example: local/extract_audio.sh /corpora/MELD.Raw/train_splits /corpora/MELD.Raw/dev_splits_complete
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
set -euo pipefail
# shellcheck source=../../../tools/log.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../../tools/log.sh"
(( $# > 0 )) || die "usage: local/extract_audio.sh FOLDER [FOLDER…]"
command -v ffmpeg > /dev/null || die "ffmpeg is not installed; films cannot be read without it"
bad=()
for folder in "$@"; do
  [[ -d $folder ]] || die "$folder: no such folder"
  while IFS= read -r -d '' film; do
    wav=${film%.*}.wav
    if [[ -s $wav ]]; then continue; fi
    if ffmpeg -nostdin -loglevel error -y -i "$film" -vn -ac 1 -ar 16000 "$wav.part.wav" < /dev/null; then
      mv "$wav.part.wav" "$wav"
    else
      rm -f "$wav.part.wav"
      bad+=("$film")
    fi
  done < <(find "$folder" -type f -name 'dia*.mp4' -print0)
done
log "done; ${#bad[@]} films could not be read"
if (( ${#bad[@]} )); then printf '  %s\n' "${bad[@]}" >&2; fi
