#!/usr/bin/env bash
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
# Sourced: run commands side by side, at most $1 at a time.
#   jobs_start LIMIT LOGFILE COMMAND…   waits for a free place, then starts COMMAND in the background
#   jobs_wait                           waits for all; fails if any failed, showing the end of its log
# Bash starts background jobs deaf to Ctrl-C; so while there are any, a signal to the script ends them.
# Needs log and die (log.sh).

declare -A _job_log=()
_jobs_failed=0

_jobs_stop() { # STATUS
  trap - INT TERM
  kill -TERM "${!_job_log[@]}" 2> /dev/null || true
  log "stopped; the same command goes on"
  exit "$1"
}

_job_end() { # PID STATUS
  if (( $2 != 0 )); then
    _jobs_failed=$((_jobs_failed + 1))
    log "failed (status $2), see ${_job_log[$1]}:"
    tail -n 5 "${_job_log[$1]}" >&2
  fi
  unset "_job_log[$1]"
}

# Polls: "wait -n PID…" knows nothing of a job that ended before it was called (bash 5.2).
_jobs_wait_one() {
  local pid status
  while :; do
    for pid in "${!_job_log[@]}"; do
      if ! kill -0 "$pid" 2> /dev/null; then
        status=0
        wait "$pid" || status=$?
        _job_end "$pid" "$status"
        return
      fi
    done
    sleep 0.1
  done
}

jobs_start() {
  local limit=$1 logfile=$2
  shift 2
  (( limit >= 1 )) || die "a limit of $limit jobs side by side (--nj) starts none"
  trap '_jobs_stop 130' INT
  trap '_jobs_stop 143' TERM
  while (( ${#_job_log[@]} >= limit )); do _jobs_wait_one; done
  (( _jobs_failed == 0 )) || return 0 # jobs_wait reports it; start nothing more
  mkdir -p "$(dirname "$logfile")"
  "$@" >> "$logfile" 2>&1 &
  _job_log[$!]=$logfile
}

jobs_wait() {
  while (( ${#_job_log[@]} > 0 )); do _jobs_wait_one; done
  trap - INT TERM
  local failed=$_jobs_failed
  _jobs_failed=0
  (( failed == 0 )) || die "$1: $failed job(s) failed"
}
