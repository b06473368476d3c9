#!/usr/bin/env bash
# Runs the Python client's tests against a node of their own. PAXOS_BIN_DIR is where paxosd is
# (default target/debug). Arguments go to unittest: tests/python/run.sh -v Live.test_long_poll
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
paxosd=${PAXOS_BIN_DIR:-$here/../../target/debug}/paxosd
deadline_s=60
node=''

die() {
  printf 'tests/python/run.sh: %s\n' "$*" >&2
  exit 1
}

[[ -x $paxosd ]] || die "there is no $paxosd: run 'cargo build --bin paxosd', or set PAXOS_BIN_DIR"
work=$(mktemp -d "${TMPDIR:-/tmp}/paxosd-python.XXXXXX")

stop() {
  local status=$? i
  trap - EXIT
  if [[ -n $node ]]; then
    kill "$node" 2>/dev/null || true
    for ((i = 0; i < deadline_s * 10; i++)); do
      kill -0 "$node" 2>/dev/null || break
      sleep 0.1
    done
    if kill -9 "$node" 2>/dev/null; then
      printf 'the node did not stop within %s s\n' "$deadline_s" >&2
      status=1
    elif ! wait "$node"; then
      printf 'the node did not end well\n' >&2
      status=1
    fi
  fi
  if ((status != 0)) && [[ -s $work/node.log ]]; then
    printf '%s\n' '--- the end of the log of the node' >&2
    tail -n 20 "$work/node.log" >&2
  fi
  rm -rf -- "$work"
  exit "$status"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

"$paxosd" dev --dir "$work/data" --shards 2 --listen 127.0.0.1:0 \
  >"$work/address" 2>"$work/node.log" &
node=$!
for ((i = 0; i < deadline_s * 10; i++)); do
  grep -q . "$work/address" && break
  if ! kill -0 "$node" 2>/dev/null; then
    node=''
    die 'the node ended before it listened'
  fi
  sleep 0.1
done
PAXOS_ENDPOINT=$(head -n 1 "$work/address")
[[ $PAXOS_ENDPOINT == *:* ]] || die "the node gave no address within $deadline_s s"
export PAXOS_ENDPOINT

cd "$here"
if (($# == 0)); then set -- -v; fi
names=()
for argument in "$@"; do
  if [[ $argument == -* ]]; then names+=("$argument"); else names+=("test_client.$argument"); fi
done
case " ${names[*]} " in
  *" test_client."*) ;;
  *) names+=(test_client) ;;
esac
PYTHONDONTWRITEBYTECODE=1 python3 -W error::UserWarning -m unittest "${names[@]}"
kill -0 "$node" 2>/dev/null || die 'the node ended during the tests'
