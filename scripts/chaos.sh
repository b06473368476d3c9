#!/usr/bin/env bash
# Real nodes, killed, paused and restarted at random while 32 clients append; afterwards every
# acknowledged entry must be where it was said to be, on every node. `scripts/chaos.sh --help` explains.
# Started by another shell, as in `sh chaos.sh`, it goes on in bash.
if [ -z "${BASH_VERSION:-}" ]; then exec bash "$0" "$@"; fi
set +o posix
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  cat <<'TEXT'
chaos.sh: clusters of real nodes under load, with nodes killed, paused and restarted at random

  --seconds S   how long the clients append in each run (default 60)
  --nodes N     nodes of the cluster, 3 to 15 (default 3)
  --runs R      runs, one after the other, each with a cluster and a seed of its own (default 1)
  --seed X      seed of the first run; the next ones follow (default random, and printed)

Ends with 0 when nothing acknowledged was lost, moved or doubled and all replicas are the same.
The seed decides what is done to which node and when; the machine decides the rest.
TEXT
}

misuse() {
  printf 'chaos.sh: %s\nTry: chaos.sh --help\n' "$*" >&2
  exit 2
}

number() {
  [[ ${2:-} =~ ^[0-9]{1,18}$ ]] || misuse "$1 needs a number."
}

export PAXOS_CHAOS_SECONDS=60 PAXOS_CHAOS_NODES=3 PAXOS_CHAOS_RUNS=1
unset PAXOS_CHAOS_SEED
while (($# > 0)); do
  case $1 in
    --seconds)
      number "$@"
      PAXOS_CHAOS_SECONDS=$2
      ;;
    --nodes)
      number "$@"
      ((10#$2 >= 3 && 10#$2 <= 15)) || misuse "--nodes $2: give 3 to 15."
      PAXOS_CHAOS_NODES=$2
      ;;
    --runs)
      number "$@"
      PAXOS_CHAOS_RUNS=$2
      ;;
    --seed)
      number "$@"
      export PAXOS_CHAOS_SEED=$2
      ;;
    --help | -h)
      usage
      exit 0
      ;;
    *) misuse "what is $1?" ;;
  esac
  shift 2
done

exec cargo test --release --quiet --test chaos -- --nocapture nothing_acknowledged_is_lost
