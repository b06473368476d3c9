#!/usr/bin/env bash
# Draws up a new paxosd cluster: every host's paxosd.toml, and the commands that start it there.
# `scripts/bootstrap.sh --help` explains.
# Started by another shell, as in `sh bootstrap.sh`, it goes on in bash.
if [ -z "${BASH_VERSION:-}" ]; then exec bash "$0" "$@"; fi
set +o posix
set -euo pipefail

shards=1
data_dir=
cluster=
out=
config=/etc/paxosd/paxosd.toml
nodes_max=15
default_port=7420
ids=()
keys=()
declare -A host=() port=() key_set=()
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

usage() {
  cat <<'TEXT'
bootstrap.sh: draws up a new paxosd cluster

  bootstrap.sh --node ID=HOST[:PORT] [--node ID=HOST[:PORT]]... [--shards S] [--data-dir DIR]
               [--set KEY=VALUE]... [--cluster-id HEX] [--out DIR]

  --node ID=HOST[:PORT]   a node: its id (1 to 65535), and where clients and the other nodes reach it,
                          a name or an address (IPv6 in brackets); clients at PORT (default 7420),
                          nodes at the port after it, and the admin page at the next. Three nodes
                          survive the loss of one, five of two.
  --shards S              shards of the cluster, 1 to 256 (default 1), fixed for its life: as many as
                          the hosts have cores to spare
  --data-dir DIR          where each host keeps its data (default /var/lib/paxosd)
  --set KEY=VALUE         a key of paxosd.toml in all files, such as --set pin=true; a text needs
                          quotes: --set 'log_level="debug"'
  --cluster-id HEX        32 hexadecimal digits (default: drawn, once for all files)
  --out DIR               write DIR/node-ID.toml for each node, and print only the commands
  --help                  this text

Prints, for each host, commands for a root shell there: they write its paxosd.toml, check it, prepare the
data directory and start the service that install.sh installed. Nothing is run on any host. Where all hosts
are loopback addresses, the cluster is for trying out: the commands run the nodes by hand on this machine.
Where this machine has paxosd, on the PATH or built in this clone, it checks every file first.

Exit codes: 0 done, 1 failed, 2 wrong usage.
TEXT
}

say() { printf '%s\n' "$*"; }
warn() { printf 'bootstrap.sh: warning: %s\n' "$*" >&2; }
die() {
  printf 'bootstrap.sh: %s\n' "$*" >&2
  exit 1
}
misuse() {
  printf 'bootstrap.sh: %s\nTry: bootstrap.sh --help\n' "$*" >&2
  exit 2
}

# --- What is asked for ----------------------------------------------------------------------------

# Reads ID=HOST[:PORT].
add_node() {
  local spec=$1 id rest name at=$default_port
  [[ $spec == *=* ]] || misuse "--node $spec: give ID=HOST or ID=HOST:PORT, such as 1=db1.example.com."
  id=${spec%%=*} rest=${spec#*=}
  if [[ ! $id =~ ^[1-9][0-9]{0,4}$ ]] || ((id > 65535)); then
    misuse "--node $spec: the id must be a number from 1 to 65535."
  fi
  [[ -z ${host[$id]:-} ]] || misuse "--node $spec: id $id is ${host[$id]} already; each node needs its own."
  if [[ $rest =~ ^(\[[0-9A-Fa-f:.]+\])(:([^:]*))?$ || $rest =~ ^([A-Za-z0-9._-]+)(:([^:]*))?$ ]]; then
    name=${BASH_REMATCH[1]}
    if [[ -n ${BASH_REMATCH[2]} ]]; then at=${BASH_REMATCH[3]}; fi
  else
    misuse "--node $spec: '$rest' is no HOST or HOST:PORT; an IPv6 address needs brackets: [2001:db8::1]."
  fi
  if [[ ! $at =~ ^[1-9][0-9]{0,4}$ ]] || ((at > 65533)); then
    misuse "--node $spec: the port must be a number from 1 to 65533; the two after it are needed too."
  fi
  [[ $name != 0.0.0.0 && $name != '[::]' ]] || misuse "--node $spec: give the address that others connect \
to, not the one that means all of them."
  host[$id]=$name port[$id]=$at
  ids+=("$id")
}

# Reads a key for all files. TOML takes none twice.
add_key() {
  case $1 in
    shards) misuse "--set $1: use --shards $2." ;;
    data_dir | cluster_id) misuse "--set $1: use --${1/_/-}." ;;
    node_id) misuse "--set $1: each file has its own, from --node." ;;
  esac
  [[ -z ${key_set[$1]:-} ]] || misuse "--set $1: it is given twice."
  key_set[$1]=1
  keys+=("$1 = $2")
}

parse() {
  while (($# > 0)); do
    case $1 in
      --*=*)
        set -- "${1%%=*}" "${1#*=}" "${@:2}"
        continue
        ;;
      --node | --shards | --data-dir | --set | --cluster-id | --out)
        [[ -n ${2:-} ]] || misuse "$1 needs a value behind it."
        ;;&
      --node) add_node "$2" ;;
      --shards) shards=$2 ;;
      --data-dir) data_dir=$2 ;;
      --set)
        [[ $2 =~ ^[a-z_]+=.+$ ]] || misuse "--set $2: give KEY=VALUE, such as pin=true."
        add_key "${2%%=*}" "${2#*=}"
        ;;
      --cluster-id) cluster=$2 ;;
      --out) out=$2 ;;
      -h | --help)
        usage
        exit 0
        ;;
      *) misuse "there is no argument '$1'." ;;
    esac
    shift 2
  done
}

is_loopback() { [[ $1 == localhost || $1 == *.localhost || $1 == 127.* || $1 == '[::1]' ]]; }

is_name() { [[ $1 != '['* && ! $1 =~ ^[0-9.]+$ ]]; }

# What can only be judged over all arguments.
settle() {
  local id other loopback=0
  ((${#ids[@]} > 0)) || misuse "name the nodes: --node 1=HOST --node 2=HOST --node 3=HOST."
  ((${#ids[@]} <= nodes_max)) || misuse "a cluster has at most $nodes_max nodes; these are ${#ids[@]}."
  if [[ ! $shards =~ ^[1-9][0-9]{0,2}$ ]] || ((shards > 256)); then
    misuse "--shards $shards: give a number from 1 to 256."
  fi
  cluster=${cluster:-$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')}
  [[ $cluster =~ ^[0-9A-Fa-f]{32}$ ]] || misuse "--cluster-id $cluster: give 32 hexadecimal digits."
  [[ $cluster =~ [^0] ]] || misuse "--cluster-id $cluster: all zeros means any cluster; give another."
  for id in "${ids[@]}"; do
    if is_loopback "${host[$id]}"; then loopback=$((loopback + 1)); fi
    for other in "${ids[@]}"; do
      if ((id < other)) && [[ ${host[$id]} == "${host[$other]}" ]]; then check_shared_host "$id" "$other"; fi
    done
  done
  ((loopback == 0 || loopback == ${#ids[@]})) || misuse "some hosts are loopback addresses and some are not: \
no other host can reach a loopback address."
  here=0
  if ((loopback > 0)); then here=1; fi
  settle_keys
  data_dir=${data_dir:-$(default_data_dir)}
  # The path stands in TOML, in a shell's commands and in a unit.
  [[ $data_dir =~ ^/[A-Za-z0-9/._+-]*$ ]] || misuse "--data-dir $data_dir: give an absolute path of letters, \
digits and / . _ + - only."
  if ((here == 0)) && [[ $data_dir/ =~ ^/(home|root|tmp|var/tmp|run/user)/ ]]; then
    misuse "--data-dir $data_dir: the service sees neither homes nor temporary directories; take one like \
/srv/paxosd."
  fi
}

# Keys that the files have already, as the hosts want it.
settle_keys() {
  local id
  ((here == 0)) || return 0
  [[ -z ${key_set[insecure_listen]:-} ]] || misuse "--set insecure_listen: the files have it already, as hosts \
must reach each other."
  for id in "${ids[@]}"; do
    if is_name "${host[$id]}" && [[ -n ${key_set[listen]:-}${key_set[listen_peer]:-} ]]; then
      misuse "--set listen, listen_peer: the file of node $id has them already, as ${host[$id]} is a name; give \
its address."
    fi
  done
}

# Two nodes on one host are for trying out only, and must not want the same ports.
check_shared_host() {
  is_loopback "${host[$1]}" || misuse "nodes $1 and $2 are both on ${host[$1]}: a host that fails would take \
both along. Give each node a host of its own; to try out, use 127.0.0.1, 127.0.0.2 and so on."
  ((port[$1] - port[$2] > 2 || port[$2] - port[$1] > 2)) || misuse "nodes $1 and $2 want the same port of \
${host[$1]}: each needs its own and the two after it."
}

default_data_dir() {
  if ((here == 1)); then printf '%s/paxosd-data' "$PWD"; else printf '/var/lib/paxosd'; fi
}

# Things that are allowed and that one should know.
give_warnings() {
  local id count=${#ids[@]} list=''
  if ((count % 2 == 0)); then
    warn "$count nodes survive the loss of $(((count - 1) / 2)), as $((count - 1)) would; take an odd number."
  fi
  ((here == 0)) || return 0
  for id in "${ids[@]}"; do list+=", ${host[$id]}:${port[$id]} and :$((port[$id] + 1))"; done
  warn "nothing is encrypted and nobody is asked for a password yet (insecure_listen = true): whoever reaches \
${list#, } may read, write and delete. Let a firewall keep these ports for hosts that you trust."
}

# --- What is drawn up -----------------------------------------------------------------------------

# The data directory of node $1; nodes on one machine need one each.
data_dir_of() {
  if ((here == 1)); then printf '%s/node-%s' "$data_dir" "$1"; else printf '%s' "$data_dir"; fi
}

# The configuration of node $1.
config_of() {
  local id at=${port[$1]}
  say "# Node $1 of a paxosd cluster of ${#ids[@]}, drawn up by bootstrap.sh. The sample paxosd.toml explains"
  say "# every key; what is not here has its default."
  say "cluster_id = \"$cluster\""
  say "node_id = $1"
  say "data_dir = \"$(data_dir_of "$1")\""
  say "shards = $shards"
  if ((here == 0)); then
    say ''
    say "# Nothing is encrypted and nobody is asked for a password: whoever reaches these ports may read,"
    say "# write and delete. Let a firewall keep them for hosts that you trust."
    say "insecure_listen = true"
    if is_name "${host[$1]}"; then
      say "# All interfaces: many hosts find their own name at a loopback address."
      say "listen = \"0.0.0.0:$at\""
      say "listen_peer = \"0.0.0.0:$((at + 1))\""
    fi
  fi
  if ((${#keys[@]} > 0)); then
    say ''
    printf '%s\n' "${keys[@]}"
  fi
  for id in "${ids[@]}"; do
    printf '\n[[member]]\nid = %s\nclient = "%s"\npeer = "%s"\n' \
      "$id" "${host[$id]}:${port[$id]}" "${host[$id]}:$((port[$id] + 1))"
  done
}

# Quoted where there are brackets, which some shells take for a pattern.
endpoints() {
  local id list='' quote=''
  for id in "${ids[@]}"; do
    list+=",${host[$id]}:${port[$id]}"
    if [[ ${host[$id]} == '['* ]]; then quote="'"; fi
  done
  printf '%s' "$quote${list#,}$quote"
}

# The commands of node $1 on a host of its own, for a root shell.
host_commands() {
  if [[ -n $out ]]; then
    say "# As root on ${host[$1]}, with $out/node-$1.toml copied there as $config:"
  else
    say "# As root on ${host[$1]}:"
    say "install -D -m 0644 /dev/stdin $config <<'END'"
    config_of "$1"
    say "END"
  fi
  say "paxosd check-config --config $config"
  if [[ $data_dir != /var/lib/paxosd ]]; then
    say "install -d -m 0700 -o paxosd -g paxosd $data_dir"
    say "install -D -m 0644 /dev/stdin /etc/systemd/system/paxosd.service.d/data.conf <<'END'"
    say "[Service]"
    say "ReadWritePaths=$data_dir"
    say "END"
    say "systemctl daemon-reload"
  fi
  say "runuser -u paxosd -- paxosd init --config $config"
  say "systemctl enable --now paxosd"
}

# The commands of node $1 on this machine.
local_commands() {
  local file
  printf -v file '%q' "${out:-$PWD}/node-$1.toml"
  if [[ -z $out ]]; then
    say "cat >$file <<'END'"
    config_of "$1"
    say "END"
  fi
  say "paxosd check-config --config $file"
  say "paxosd init --config $file"
  say "paxosd run --config $file >>${file%.toml}.log 2>&1 &"
}

# The paxosd of this machine; nothing where there is none.
checker() {
  command -v paxosd || { [[ -x $root/target/release/paxosd ]] && printf '%s\n' "$root/target/release/paxosd"; }
}

# Has every file checked, where that can be done, before any of them is shown or written. What the
# caller's environment overrides is left out: it is not that of the hosts.
check_files() {
  local id paxosd said code
  paxosd=$(checker) || return 0
  drafts=$(mktemp -d)
  trap 'rm -rf -- "$drafts"' EXIT
  for id in "${ids[@]}"; do
    config_of "$id" >"$drafts/node-$id.toml"
    code=0
    said=$(env -i "$paxosd" check-config --config "$drafts/node-$id.toml" 2>&1) || code=$?
    ((code != 78)) || misuse "the file of node $id would have faults, and nothing was drawn up:
${said//"$drafts/"/}"
  done
}

# Writes all files or none of those that exist already.
write_files() {
  local id
  mkdir -p -- "$out" || die "$out cannot be made; the message above says why."
  for id in "${ids[@]}"; do
    [[ ! -e $out/node-$id.toml ]] || die "$out/node-$id.toml exists already, and may be that of a cluster with \
data. Remove it, or give another --out."
  done
  for id in "${ids[@]}"; do
    config_of "$id" >"$out/node-$id.toml" || die "$out/node-$id.toml cannot be written; the message above says why."
  done
}

main() {
  parse "$@"
  settle
  check_files
  give_warnings
  if [[ -n $out ]]; then
    out=$(realpath -m -- "$out")
    write_files
  fi
  local id
  for id in "${ids[@]}"; do
    say "# --- Node $id: ${host[$id]} ---"
    if ((here == 1)); then local_commands "$id"; else host_commands "$id"; fi
    say ''
  done
  say "# --- From any host that reaches them, once all of them run ---"
  say "paxosctl --endpoints $(endpoints) wait --ready"
}

main "$@"
