#!/usr/bin/env bash
# Shows what paxosd does, in plain words: three nodes, a few entries, a leader that dies. Leaves
# nothing behind. $PAXOS_BASE_PORT (default 7520) is the first of its ports.
set -euo pipefail

usage() {
  cat <<'TEXT'
demo.sh: shows what paxosd does, in plain words: three nodes, a few entries, a leader that dies

It takes no arguments, builds paxosd where cluster.sh would, and leaves nothing behind.

Environment:
  PAXOS_BASE_PORT   first of the ports of its nodes (default 7520)
  PAXOS_BIN_DIR     where paxosd and paxosctl are, if they are not to be built here
TEXT
}

case ${1:-} in
  '') ;;
  --help | -h | help)
    usage
    exit 0
    ;;
  *)
    printf 'demo.sh: what is %s?\nTry: demo.sh --help\n' "$1" >&2
    exit 2
    ;;
esac

cluster=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/cluster.sh
work=$(mktemp -d "${TMPDIR:-/tmp}/paxosd-demo.XXXXXX")
export PAXOS_CLUSTER_DIR=$work/cluster PAXOS_BASE_PORT=${PAXOS_BASE_PORT:-7520} PAXOS_SHARDS=1

clean_up() {
  local status=$?
  if ((status != 0)) && [[ -d $PAXOS_CLUSTER_DIR ]]; then
    printf '\nThe demo failed; the end of each log:\n' >&2
    tail -n 5 "$PAXOS_CLUSTER_DIR"/node-*/paxosd.log >&2 || true
  fi
  "$cluster" down --wipe >/dev/null 2>&1 || true
  rm -rf "$work"
  exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

tell() { printf '\n%s\n' "$*"; }
# Shows a command as one would type it, and runs it.
run() {
  local shown='' word
  for word in "$@"; do
    [[ $word != *[^[:alnum:]./_=:-]* ]] || word="'$word'"
    shown+=" $word"
  done
  printf '  $%s\n' "${shown//"$cluster"/scripts/cluster.sh}"
  "$@" | sed 's/^/  /'
}
die() {
  printf 'demo.sh: %s\n' "$*" >&2
  exit 1
}

leader() {
  # A dead node makes the cluster an unhealthy one, which is no failure here.
  { paxosctl status -o json 2>/dev/null || true; } | sed -n 's/.*"leader": *\([0-9][0-9]*\).*/\1/p' | head -n 1
}

tell 'Three nodes on this machine, each with its own data directory:'
run "$cluster" up 3
eval "$("$cluster" env)"

tell 'A log, and three entries. Each append prints the index of its entry, once two of the three nodes
have the entry on disk:'
run paxosctl create greetings
run paxosctl append greetings 'good morning'
run paxosctl append greetings 'good day'
run paxosctl append greetings 'good evening'
run paxosctl read greetings

first=$(leader)
[[ -n $first ]] || die 'no node calls itself the leader.'
tell "Node $first leads. It dies the hard way, as in a crash:"
run "$cluster" kill "$first"

tell 'The other two notice, elect a new leader, and the log goes on. Nothing acknowledged is missed:'
run paxosctl append greetings 'good night'
run paxosctl read greetings
second=$(leader)
[[ -n $second && $second != "$first" ]] || die "node $first is dead and leads all the same."
tell "Now node $second leads. Node $first comes back, and catches up by itself:"
run "$cluster" start "$first"
run paxosctl wait --ready --timeout 30
run paxosctl status

count=$(paxosctl read greetings | wc -l)
((count == 4)) || die "expected 4 entries at the end, found $count."
tell 'That was it. The cluster goes down, and its data with it:'
run "$cluster" down --wipe
