#!/usr/bin/env bash
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
# Sourced: run commands that end with the script.
#   job COMMAND…     runs COMMAND; a signal to the script alone ends it too
# Bash waits for a command in the foreground before it heeds a signal, and one that runs in the
# background is deaf to Ctrl-C; so it runs there, and a signal to the script ends it.
# Needs log (log.sh).

_job_pid=

_job_stop() { # STATUS
  trap - INT TERM HUP
  local pid end=$((SECONDS + 10))
  local -a pids # of bash's own table: a signal may come before the job is in ours
  read -r -d '' -a pids <<< "$_job_pid $(jobs -p)" || true
  kill -TERM "${pids[@]}" 2> /dev/null || true
  for pid in "${pids[@]}"; do
    while kill -0 "$pid" 2> /dev/null && (( SECONDS < end )); do sleep 0.1; done
    kill -KILL "$pid" 2> /dev/null || true
  done
  log "stopped; the same command goes on"
  exit "$1"
}

job() {
  local status=0
  trap '_job_stop 130' INT
  trap '_job_stop 143' TERM
  trap '_job_stop 129' HUP
  "$@" <&0 & # or its standard input would be empty
  _job_pid=$!
  wait "$_job_pid" || status=$?
  _job_pid=
  trap - INT TERM HUP
  return "$status"
}
