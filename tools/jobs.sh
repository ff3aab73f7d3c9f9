#!/usr/bin/env bash
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
# Sourced: run commands that end with the script, alone or side by side, at most $1 at a time.
#   job COMMAND…                        runs COMMAND; a signal to the script alone ends it too
#   jobs_start LIMIT LOGFILE COMMAND…   waits for a free place, then starts COMMAND in the background
#   jobs_begin N                        N jobs will come, so that the log can say how far they are
#   jobs_wait                           waits for all; fails if any failed, showing the end of its log
# Bash starts background jobs deaf to Ctrl-C; so while there are any, a signal to the script ends them.
# Needs log and die (log.sh).

JOBS_EVERY_SEC=${JOBS_EVERY_SEC:-10}

declare -A _job_log=()
_jobs_failed=0 _jobs_done=0 _jobs_begun=$SECONDS _jobs_told=$SECONDS jobs_total=0

_jobs_stop() { # STATUS
  trap - INT TERM HUP
  local pid end=$((SECONDS + 10))
  local -a pids # of bash's own table: a signal may come before a job is in ours
  read -r -d '' -a pids <<< "$(jobs -p)" || true
  kill -TERM "${pids[@]}" 2> /dev/null || true
  for pid in "${pids[@]}"; do
    while kill -0 "$pid" 2> /dev/null && (( SECONDS < end )); do sleep 0.1; done
    kill -KILL "$pid" 2> /dev/null || true
  done
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
  _jobs_done=$((_jobs_done + 1))
  if (( _jobs_done < jobs_total && SECONDS - _jobs_told >= JOBS_EVERY_SEC )); then
    _jobs_told=$SECONDS
    log "  $_jobs_done of $jobs_total jobs ended, ${#_job_log[@]} running," \
      "about $(( (SECONDS - _jobs_begun) * (jobs_total - _jobs_done) / _jobs_done )) s left"
  fi
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

_jobs_trap() {
  trap '_jobs_stop 130' INT
  trap '_jobs_stop 143' TERM
  trap '_jobs_stop 129' HUP
}

job() {
  local pid status=0
  _jobs_trap
  "$@" <&0 & # or its standard input would be empty
  pid=$!
  _job_log[$pid]=
  wait "$pid" || status=$?
  unset "_job_log[$pid]"
  trap - INT TERM HUP
  return "$status"
}

jobs_begin() {
  jobs_total=$1 _jobs_done=0 _jobs_begun=$SECONDS _jobs_told=$SECONDS
}

jobs_start() {
  local limit=$1 logfile=$2
  shift 2
  (( limit >= 1 )) || die "a limit of $limit jobs side by side (--nj) starts none"
  _jobs_trap
  while (( ${#_job_log[@]} >= limit )); do _jobs_wait_one; done
  (( _jobs_failed == 0 )) || return 0 # jobs_wait reports it; start nothing more
  mkdir -p "$(dirname "$logfile")"
  "$@" >> "$logfile" 2>&1 &
  _job_log[$!]=$logfile
}

jobs_wait() {
  while (( ${#_job_log[@]} > 0 )); do _jobs_wait_one; done
  trap - INT TERM HUP
  local failed=$_jobs_failed
  _jobs_failed=0
  (( failed == 0 )) || die "$1: $failed job(s) failed"
}
