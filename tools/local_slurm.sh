#!/usr/bin/env bash
# A Slurm of one's own on this machine, to try commands and tests on: Debian's slurmctld, slurmd and
# slurm-client, without munge, accounting or root's files. Two nodes, a and b, of as many slots each as
# are asked for, whatever the machine has.
#
#   tools/local_slurm.sh start FOLDER [SLOTS]    then: export SLURM_CONF=FOLDER/slurm.conf
#   tools/local_slurm.sh stop FOLDER
#
# Debian and Ubuntu: apt-get install --no-install-recommends slurmctld slurmd slurm-client
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/log.sh"
usage="usage: ${BASH_SOURCE[0]} start FOLDER [SLOTS] | stop FOLDER"
(( $# >= 2 )) || die "$usage"
action=$1
mkdir -p "$2"
folder=$(realpath "$2")
slots=${3:-2}
[[ $slots =~ ^[1-9][0-9]*$ ]] || die "slots: a whole number, got $slots"
export SLURM_CONF=$folder/slurm.conf

free_ports() { # N
  python3 - "$1" << 'END'
import socket, sys
held = [socket.socket() for _ in range(int(sys.argv[1]))]
for one in held:
    one.bind(("127.0.0.1", 0))
print(*(one.getsockname()[1] for one in held))
END
}

stop() {
  local name pid
  for name in slurmctld slurmd.a slurmd.b; do
    [[ -f $folder/$name.pid ]] || continue
    pid=$(< "$folder/$name.pid")
    kill "$pid" 2> /dev/null || true
    for _ in {1..100}; do
      kill -0 "$pid" 2> /dev/null || break
      sleep 0.1
    done
    kill -9 "$pid" 2> /dev/null || true
    rm -f "$folder/$name.pid"
  done
}

start() {
  local name ctld a b
  for name in slurmctld slurmd scontrol sinfo python3; do
    command -v "$name" > /dev/null || die "$name is missing: apt-get install slurmctld slurmd slurm-client"
  done
  read -r ctld a b <<< "$(free_ports 3)"
  mkdir -p "$folder"/{state,spool.a,spool.b}
  cat > "$SLURM_CONF" << END
ClusterName=local
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=$ctld
SlurmctldPidFile=$folder/slurmctld.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdPidFile=$folder/slurmd.%n.pid
SlurmdLogFile=$folder/slurmd.%n.log
SlurmdSpoolDir=$folder/spool.%n
StateSaveLocation=$folder/state
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
AuthType=auth/none
CredType=cred/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,sched_min_interval=100000,batch_sched_delay=0,defer_batch
JobRequeue=1
KillWait=5
MaxArraySize=1001
ReturnToService=2
NodeName=a NodeHostname=$(hostname -s) NodeAddr=127.0.0.1 Port=$a CPUs=$slots
NodeName=b NodeHostname=$(hostname -s) NodeAddr=127.0.0.1 Port=$b CPUs=$slots
PartitionName=all Nodes=a,b Default=YES MaxTime=INFINITE State=UP
END
  slurmctld -c -i 2> /dev/null || slurmctld -c || die "slurmctld did not start: $folder/slurmctld.log"
  for name in a b; do
    slurmd -N "$name" || die "slurmd did not start: $folder/slurmd.$name.log"
  done
  for _ in {1..300}; do
    if [[ $(sinfo --noheader --states=idle --format=%D) == 2 ]]; then
      log "Slurm runs: export SLURM_CONF=$SLURM_CONF"
      return
    fi
    sleep 0.1
  done
  stop
  die "no idle nodes after 30 s, see $folder/slurmctld.log and slurmd.*.log"
}

case $action in
  start) start ;;
  stop) stop ;;
  *) die "$usage" ;;
esac
