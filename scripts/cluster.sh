#!/usr/bin/env bash
# A paxosd cluster on this machine, from a shell. `scripts/cluster.sh help` explains.
# Started by another shell, as in `sh cluster.sh`, it goes on in bash.
if [ -z "${BASH_VERSION:-}" ]; then exec bash "$0" "$@"; fi
set +o posix
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
dir=$(realpath -m -- "${PAXOS_CLUSTER_DIR:-./cluster}")
bin=${PAXOS_BIN_DIR:-}
nodes_max=15
# What differs between the nodes comes from their own files, whatever the caller's environment says.
own_env=(env -u PAXOSD_NODE_ID -u PAXOSD_CLUSTER_ID -u PAXOSD_DATA_DIR -u PAXOSD_SHARDS
  -u PAXOSD_LISTEN -u PAXOSD_LISTEN_PEER -u PAXOSD_LISTEN_ADMIN)

usage() {
  cat <<'TEXT'
cluster.sh: a paxosd cluster on this machine

  cluster.sh up [N]        start a cluster of N nodes (default 3), or what is down of an existing one;
                           builds paxosd on first use; returns once every shard has a leader
  cluster.sh down          stop all nodes cleanly and keep their data; `down --wipe` removes the data
  cluster.sh status        which nodes run, and what the cluster says of itself
  cluster.sh stop I...     stop node I cleanly (SIGTERM): it hands its leaderships over first
  cluster.sh kill I...     kill node I the hard way (SIGKILL), as a crash would
  cluster.sh pause I...    freeze node I (SIGSTOP), as a stalled machine would
  cluster.sh resume I...   let a paused node I go on (SIGCONT)
  cluster.sh start I...    start node I again
  cluster.sh env           print the export lines that paxosctl needs: eval "$(scripts/cluster.sh env)"
  cluster.sh help          this text

Environment:
  PAXOS_CLUSTER_DIR   where the cluster lives (default ./cluster)
  PAXOS_BASE_PORT     first port of a new cluster (default 7420): node I listens on this + 10(I-1) for
                      clients, on the port after it for peers, and on the next one for the
                      admin pages (/livez, /readyz, /status, /metrics)
  PAXOS_SHARDS        shards of a new cluster (default 2)
  PAXOS_BIN_DIR       where paxosd and paxosctl are, if they are not to be built here
  PAXOSD_<KEY>        overrides a key of paxosd.toml in all nodes started, such as PAXOSD_LOG_LEVEL=debug
TEXT
}

say() { printf '%s\n' "$*"; }
die() {
  printf 'cluster.sh: %s\n' "$*" >&2
  exit 1
}
misuse() {
  printf 'cluster.sh: %s\nTry: cluster.sh help\n' "$*" >&2
  exit 2
}

# --- Where things are -----------------------------------------------------------------------------

node_dir() { printf '%s/node-%s' "$dir" "$1"; }
node_config() { printf '%s/paxosd.toml' "$(node_dir "$1")"; }
node_log() { printf '%s/paxosd.log' "$(node_dir "$1")"; }
client_port() { printf '%s' $((base_port + 10 * ($1 - 1))); }
admin_port() { printf '%s' $((base_port + 10 * ($1 - 1) + 2)); }
peer_port() { printf '%s' $((base_port + 10 * ($1 - 1) + 1)); }

endpoints() {
  local list='' i
  for ((i = 1; i <= nodes; i++)); do list+=",127.0.0.1:$(client_port "$i")"; done
  printf '%s' "${list#,}"
}

ctl() { "$bin/paxosctl" --endpoints "$(endpoints)" "$@"; }

# Reads what `up` wrote down about the cluster.
load() {
  [[ -f $dir/cluster.conf ]] || die "there is no cluster in $dir. Start one with 'cluster.sh up', or set \
PAXOS_CLUSTER_DIR to where it is."
  nodes=$(sed -n 's/^nodes=\([0-9][0-9]*\)$/\1/p' "$dir/cluster.conf")
  base_port=$(sed -n 's/^base_port=\([0-9][0-9]*\)$/\1/p' "$dir/cluster.conf")
  [[ -n $nodes && -n $base_port ]] || die "$dir/cluster.conf does not say nodes= and base_port=. It was \
damaged or written by something else."
}

# One cluster.sh at a time works on a cluster.
lock() {
  exec 9>"$dir/.lock"
  flock --nonblock 9 || die "another cluster.sh is at work on $dir. Wait for it to end."
}

# Finds the programs, and builds them where they are missing or older than their sources.
find_programs() {
  if [[ -n $bin ]]; then
    [[ -x $bin/paxosd && -x $bin/paxosctl ]] || die "PAXOS_BIN_DIR=$bin holds no paxosd and paxosctl."
    bin=$(cd "$bin" && pwd)
    return
  fi
  bin=${CARGO_TARGET_DIR:-$root/target}/release
  if [[ -x $bin/paxosd && -x $bin/paxosctl ]] && [[ -z $(newer_sources) ]]; then
    return
  fi
  command -v cargo >/dev/null || die "paxosd is not built yet, and cargo is not on the PATH. Install Rust \
(https://rustup.rs), or set PAXOS_BIN_DIR to where paxosd and paxosctl are."
  printf 'Building paxosd; from nothing this takes a few minutes.\n' >&2
  (cd "$root" && cargo build --release --bins) || die "the build failed; the messages above say why."
}

newer_sources() {
  find "$root/src" "$root/Cargo.toml" "$root/Cargo.lock" -type f -newer "$bin/paxosd" -print -quit
}

# --- Processes ------------------------------------------------------------------------------------

# Prints the process id of node I if it runs. A process counts as the node only if its command line
# names the node's own configuration: process ids are used again.
pid_of() {
  local pid words config
  config=$(node_config "$1")
  read -r pid 2>/dev/null <"$(node_dir "$1")/paxosd.pid" || return 1
  [[ $pid =~ ^[0-9]+$ ]] || return 1
  mapfile -d '' -t words 2>/dev/null <"/proc/$pid/cmdline" || return 1
  [[ ${words[*]} == *"run --config $config" ]] || return 1
  printf '%s' "$pid"
}

is_paused() {
  local stat
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  [[ ${stat##*) } == T* ]]
}

# Looks for a listener without connecting to it: nodes log connections that never say Hello.
is_listening() {
  local port
  printf -v port '%04X' "$1"
  grep -qE ": (0100007F|0{8}|0{32}):$port [0-9A-F]+:0000 0A " /proc/net/tcp /proc/net/tcp6 2>/dev/null
}

check_ports() {
  local port
  for port in "$(client_port "$1")" "$(peer_port "$1")" "$(admin_port "$1")"; do
    if is_listening "$port"; then
      die "node $1 needs port $port of 127.0.0.1, and something else listens there. Stop that, or make a \
cluster on other ports: PAXOS_CLUSTER_DIR=... PAXOS_BASE_PORT=... cluster.sh up"
    fi
  done
}

# Waits until `$2...` holds, at most `$1` tenths of a second.
wait_for() {
  local left=$1
  shift
  while ! "$@"; do
    ((left-- > 0)) || return 1
    sleep 0.1
  done
}

is_gone() { ! pid_of "$1" >/dev/null; }

# Says why node I is not there, from the end of its log.
report_failure() {
  printf 'cluster.sh: node %s ended %s. The end of its log, %s:\n' "$1" "$2" "$(node_log "$1")" >&2
  tail -n 10 "$(node_log "$1")" | sed 's/^/  | /' >&2
}

# Starts node I in a session of its own, so that no key pressed in this terminal reaches it.
launch() {
  local here
  here=$(node_dir "$1")
  [[ -f $here/paxosd.toml ]] || die "$here/paxosd.toml is missing. Run 'cluster.sh up' to write it again."
  check_ports "$1"
  "${own_env[@]}" setsid "$bin/paxosd" run --config "$here/paxosd.toml" </dev/null >>"$here/paxosd.log" 2>&1 9>&- &
  launched[$1]=$!
  printf '%s\n' "$!" >"$here/paxosd.pid"
}

# Waits until node I answers on its port, or says why it ended.
await_listening() {
  local status=0 waits=0
  until is_listening "$(client_port "$1")"; do
    if ! kill -0 "${launched[$1]}" 2>/dev/null; then
      wait "${launched[$1]}" || status=$?
      rm -f "$(node_dir "$1")/paxosd.pid"
      report_failure "$1" "with exit code $status"
      return 1
    fi
    waits=$((waits + 1))
    if ((waits == 400)); then
      printf 'Node %s is still starting; see %s.\n' "$1" "$(node_log "$1")" >&2
    fi
    sleep 0.05
  done
}

# Says of each launched node that has ended since which, how, and why; false when none has.
report_ended() {
  local i status ended=1
  for ((i = 1; i <= nodes; i++)); do
    if [[ -n ${launched[$i]:-} ]] && ! kill -0 "${launched[$i]}" 2>/dev/null; then
      status=0
      wait "${launched[$i]}" || status=$?
      rm -f "$(node_dir "$i")/paxosd.pid"
      report_failure "$i" "with exit code $status"
      unset "launched[$i]"
      ended=0
    fi
  done
  return "$ended"
}

# Waits for leaders, a second at a time: a node that ends meanwhile is told of at once.
# 1 node, 2 nodes.
count_nodes() { if ((nodes == 1)); then printf '1 node'; else printf '%s nodes' "$nodes"; fi; }

# All of them, with a verb for one or for many: all_nodes runs run.
all_nodes() { if ((nodes == 1)); then printf 'The node %s' "$1"; else printf 'All %s nodes %s' "$nodes" "$2"; fi; }

await_quorum() {
  local seconds said
  for ((seconds = 0; seconds < 60; seconds++)); do
    if said=$(ctl wait --quorum --timeout 1 2>&1 >/dev/null); then
      if report_ended; then die "not all nodes run. 'cluster.sh start I' starts node I again."; fi
      return
    fi
    if report_ended; then
      die "not all nodes run, and there is no quorum. The others keep running; 'cluster.sh down' stops them."
    fi
  done
  die "no quorum of the nodes agreed on leaders within a minute. See 'cluster.sh status' and the logs \
$dir/node-*/paxosd.log. paxosctl said: $said"
}

# Ends node I in order; a paused one is woken first, or it would not hear the signal.
terminate() {
  local pid
  pid=$(pid_of "$1") || return 0
  kill -TERM "$pid" 2>/dev/null || true
  kill -CONT "$pid" 2>/dev/null || true
}

await_gone() {
  local pid
  wait_for 200 is_gone "$1" && return
  printf 'cluster.sh: node %s has not stopped within 20 seconds; told again to stop at once.\n' "$1" >&2
  terminate "$1"
  wait_for 50 is_gone "$1" && return
  printf 'cluster.sh: node %s does not stop; killed.\n' "$1" >&2
  if pid=$(pid_of "$1"); then kill -KILL "$pid" 2>/dev/null || true; fi
  wait_for 100 is_gone "$1" || die "node $1 (pid $pid) cannot be killed; it hangs in the kernel."
}

# --- Commands -------------------------------------------------------------------------------------

write_config() {
  local here i
  here=$(node_dir "$1")
  mkdir -p "$here"
  {
    say "# Node $1 of a local cluster; the sample paxosd.toml of the repository explains every key."
    say "cluster_id = \"$2\""
    say "node_id = $1"
    say "data_dir = \"$here/data\""
    say "shards = $3"
    say "listen_admin = \"127.0.0.1:$(admin_port "$1")\""
    for ((i = 1; i <= nodes; i++)); do
      printf '\n[[member]]\nid = %s\nclient = "127.0.0.1:%s"\npeer = "127.0.0.1:%s"\n' \
        "$i" "$(client_port "$i")" "$(peer_port "$i")"
    done
  } >"$here/paxosd.toml"
}

# Lays out a new cluster: configurations first, cluster.conf last, so that half a layout is not one.
lay_out() {
  local shards=${PAXOS_SHARDS:-2} cluster i
  nodes=$1
  base_port=${PAXOS_BASE_PORT:-7420}
  [[ $shards =~ ^[1-9][0-9]{0,2}$ ]] || misuse "PAXOS_SHARDS=$shards: give a number of shards from 1 to 256."
  if [[ ! $base_port =~ ^[1-9][0-9]{0,4}$ ]] || ((base_port + 10 * nodes > 65535)); then
    misuse "PAXOS_BASE_PORT=$base_port: give a port from 1 to $((65535 - 10 * nodes))."
  fi
  [[ $dir != *[\"\\]* ]] || die "the path $dir holds a quote or a backslash; choose another PAXOS_CLUSTER_DIR."
  cluster=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
  for ((i = 1; i <= nodes; i++)); do check_ports "$i"; done
  for ((i = 1; i <= nodes; i++)); do
    write_config "$i" "$cluster" "$shards"
    initialise "$i"
  done
  printf 'nodes=%s\nbase_port=%s\n' "$nodes" "$base_port" >"$dir/cluster.conf"
}

# Runs `paxosd init`, once in a node's life: a data directory that vanishes later is not made anew.
initialise() {
  local output
  output=$("${own_env[@]}" "$bin/paxosd" init --config "$(node_config "$1")" 2>&1) \
    || die "node $1 could not be initialised:
$output"
}

# A directory without cluster.conf is taken only if no node ever ran in it.
check_directory() {
  [[ -d $dir && ! -f $dir/cluster.conf ]] || return 0
  if [[ -n $(find "$dir" -mindepth 1 -maxdepth 1 ! -name .lock ! -name 'node-*' -print -quit) ]]; then
    die "$dir holds other things than a cluster. Set PAXOS_CLUSTER_DIR to a directory of its own."
  fi
  if [[ -n $(find "$dir" -mindepth 2 -maxdepth 2 -name paxosd.log -print -quit) ]]; then
    die "$dir holds the data of nodes, but cluster.conf is missing. Write it again (two lines: nodes=3 and \
base_port=7420, as they were), or remove the directory if the data is of no use."
  fi
  rm -rf "$dir"/node-*
}

# An existing cluster keeps its size, ports and shards; asking for others is answered, not ignored.
check_unchanged() {
  if [[ -n $1 && $1 != "$nodes" ]]; then
    die "the cluster in $dir has $nodes nodes, and keeps them. For one of $1, remove it with 'cluster.sh down \
--wipe', or set PAXOS_CLUSTER_DIR to another directory."
  fi
  local shards
  shards=$(sed -n 's/^shards = \([0-9][0-9]*\)$/\1/p' "$(node_config 1)" 2>/dev/null) || shards=''
  if [[ -n $shards && ${PAXOS_SHARDS:-$shards} != "$shards" ]]; then
    die "the cluster in $dir has $shards shards, and keeps them; PAXOS_SHARDS=$PAXOS_SHARDS is for new clusters. \
Unset it, remove the cluster with 'cluster.sh down --wipe', or set PAXOS_CLUSTER_DIR to another directory."
  fi
  if [[ ${PAXOS_BASE_PORT:-$base_port} != "$base_port" ]]; then
    printf 'cluster.sh: PAXOS_BASE_PORT is for new clusters; this one stays on port %s.\n' "$base_port" >&2
  fi
}

cmd_up() {
  (($# <= 1)) || misuse "up takes at most one number."
  local wanted=${1:-} i pid failed=0 started=0
  if [[ ! ${wanted:-3} =~ ^[1-9][0-9]?$ ]] || ((${wanted:-3} > nodes_max)); then
    misuse "up $wanted: give a number of nodes from 1 to $nodes_max."
  fi
  check_directory
  find_programs
  mkdir -p -- "$dir" || die "$dir cannot be made; the message above says why. Set PAXOS_CLUSTER_DIR to another place."
  lock
  if [[ -f $dir/cluster.conf ]]; then
    load
    check_unchanged "$wanted"
  else
    lay_out "${wanted:-3}"
  fi
  for ((i = 1; i <= nodes; i++)); do
    if pid=$(pid_of "$i"); then
      if is_paused "$pid"; then say "Node $i is paused; 'cluster.sh resume $i' lets it go on."; fi
      continue
    fi
    launch "$i"
    started=$((started + 1))
  done
  for ((i = 1; i <= nodes; i++)); do
    if [[ -n ${launched[$i]:-} ]]; then await_listening "$i" || failed=1; fi
  done
  ((failed == 0)) || die "not all nodes started. The others keep running; 'cluster.sh down' stops them."
  await_quorum
  if ((started == 0)); then say "$(all_nodes runs run) already."; else say "Started $started of $(count_nodes)."; fi
  say "Endpoints: $(endpoints)"
  say "Next:      eval \"\$(scripts/cluster.sh env)\" && paxosctl status"
}

cmd_down() {
  local i wipe=0
  case "${1:-}" in
    '') ;;
    --wipe) wipe=1 ;;
    *) misuse "down $1: it takes nothing but --wipe." ;;
  esac
  (($# <= 1)) || misuse "down takes nothing but --wipe."
  load
  lock
  for ((i = 1; i <= nodes; i++)); do terminate "$i"; done
  for ((i = 1; i <= nodes; i++)); do await_gone "$i"; done
  for ((i = 1; i <= nodes; i++)); do rm -f "$(node_dir "$i")/paxosd.pid"; done
  if ((wipe == 0)); then
    say "$(all_nodes is are) stopped. Data stays in $dir ($(du -sh -- "$dir" | cut -f1)); 'cluster.sh up' starts again, \
'cluster.sh down --wipe' removes it."
    return
  fi
  rm -f "$dir/cluster.conf"
  for ((i = 1; i <= nodes; i++)); do rm -rf "$(node_dir "$i")"; done
  rm -f "$dir/.lock"
  rmdir "$dir" 2>/dev/null || true
  say "$(all_nodes is are) stopped, and the data is removed from $dir."
}

cmd_status() {
  (($# == 0)) || misuse "status takes no arguments."
  load
  find_programs
  local i pid state alive=0
  printf '%-5s %-8s %-8s %-22s %s\n' NODE PROCESS PID CLIENTS LOG
  for ((i = 1; i <= nodes; i++)); do
    state=down
    if pid=$(pid_of "$i"); then
      if is_paused "$pid"; then state=paused; else state=up; fi
      alive=$((alive + 1))
    fi
    printf '%-5s %-8s %-8s %-22s %s\n' "$i" "$state" "${pid:--}" "127.0.0.1:$(client_port "$i")" "$(node_log "$i")"
  done
  ((alive > 0)) || die "no node runs. Start them with 'cluster.sh up'."
  say ''
  ctl status
}

cmd_env() {
  (($# == 0)) || misuse "env takes no arguments."
  load
  find_programs
  printf 'export PAXOS_CLUSTER_DIR=%q\n' "$dir"
  printf 'export PAXOSCTL_ENDPOINTS=%s\n' "$(endpoints)"
  printf "export PATH=%q:\"\$PATH\"\n" "$bin"
}

# Runs `$1 I` for every node named, after all of them were checked.
each_node() {
  local action=$1 i
  shift
  (($# > 0)) || misuse "$action needs the number of a node."
  load
  for i in "$@"; do
    if [[ ! $i =~ ^[1-9][0-9]?$ ]] || ((i > nodes)); then
      misuse "$action $i: this cluster has nodes 1 to $nodes."
    fi
  done
  if [[ $action == start ]]; then find_programs; fi
  lock
  for i in "$@"; do "node_$action" "$i"; done
}

running_pid() {
  pid_of "$1" || die "node $1 does not run. Start it with 'cluster.sh start $1'."
}

node_start() {
  local pid
  if pid=$(pid_of "$1"); then
    if is_paused "$pid"; then die "node $1 is paused, not down. Use 'cluster.sh resume $1'."; fi
    say "Node $1 runs already (pid $pid)."
    return
  fi
  launch "$1"
  await_listening "$1" || exit 1
  say "Started node $1 (pid ${launched[$1]})."
}

node_stop() {
  if ! pid_of "$1" >/dev/null; then
    say "Node $1 is stopped already."
    return
  fi
  terminate "$1"
  await_gone "$1"
  say "Stopped node $1."
}

node_kill() {
  local pid
  pid=$(running_pid "$1")
  kill -KILL "$pid"
  wait_for 100 is_gone "$1" || die "node $1 (pid $pid) does not die; it hangs in the kernel."
  say "Killed node $1."
}

node_pause() {
  local pid
  pid=$(running_pid "$1")
  if is_paused "$pid"; then
    say "Node $1 is paused already."
    return
  fi
  kill -STOP "$pid"
  say "Paused node $1. 'cluster.sh resume $1' lets it go on."
}

node_resume() {
  local pid
  pid=$(running_pid "$1")
  if ! is_paused "$pid"; then
    say "Node $1 is not paused."
    return
  fi
  kill -CONT "$pid"
  say "Node $1 goes on."
}

declare -A launched=()
case "${1:-}" in
  up | down | status | env) "cmd_$1" "${@:2}" ;;
  start | stop | kill | pause | resume) each_node "$@" ;;
  help | -h | --help) usage ;;
  '') misuse "say what to do: up, down, status, stop, kill, pause, resume, start, env or help." ;;
  *) misuse "there is no command '$1'." ;;
esac
