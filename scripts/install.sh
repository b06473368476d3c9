#!/usr/bin/env bash
# Installs paxosd on this machine, upgrades it in place, or takes it away. `scripts/install.sh --help`.
# Started by another shell, as in `sh install.sh`, it goes on in bash.
if [ -z "${BASH_VERSION:-}" ]; then exec bash "$0" "$@"; fi
set +o posix
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/.." && pwd)
prefix=/usr/local
root=${DESTDIR:-}
from=
service=auto
dry_run=0
uninstall=0
config_dir=/etc/paxosd
data_dir=/var/lib/paxosd

usage() {
  cat <<'TEXT'
install.sh: installs paxosd and paxosctl on this machine, and the systemd service

  install.sh [--prefix DIR] [--root DIR] [--from DIR] [--service | --no-service] [--dry-run]
  install.sh --uninstall [--prefix DIR] [--root DIR] [--dry-run]

  --prefix DIR   where it goes (default /usr/local): programs in DIR/bin; documents, manual pages and
                 completions in DIR/share; the service's files in DIR/lib, or in /etc if DIR is neither
                 /usr nor /usr/local
  --root DIR     put everything below DIR, as a packager does; nothing outside DIR is changed, no user
                 is made and no service manager is told (also: the environment's DESTDIR)
  --from DIR     take paxosd and paxosctl from there; without it they are built here, if need be
  --service      install the systemd service, its user, /etc/paxosd and /var/lib/paxosd; this is the
                 default where it is possible: for root on a machine that runs systemd, and with --root
  --no-service   only the programs and their documents
  --dry-run      say what would be done, and do nothing
  --uninstall    remove what was installed; configuration, data and user stay
  --help         this text

Run it again to upgrade: the programs are replaced in one step each, a running node keeps running the
old one until it is restarted, and neither configuration nor data is touched.

Exit codes: 0 done, 1 failed, 2 wrong usage.
TEXT
}

say() { printf '%s\n' "$*"; }
die() {
  printf 'install.sh: %s\n' "$*" >&2
  exit 1
}
misuse() {
  printf 'install.sh: %s\nTry: install.sh --help\n' "$*" >&2
  exit 2
}

# --- What is asked for ----------------------------------------------------------------------------

# Checks that flag $1 has a value $2.
need_value() { [[ -n ${2:-} && ${2:-} != --* ]] || misuse "$1 needs a directory behind it."; }

parse() {
  while (($# > 0)); do
    case $1 in
      --prefix | --root | --from)
        need_value "$1" "${2:-}"
        printf -v "${1#--}" '%s' "$2"
        shift
        ;;
      --prefix=* | --root=* | --from=*)
        need_value "${1%%=*}" "${1#*=}"
        set -- "${1%%=*}" "${1#*=}" "${@:2}"
        continue
        ;;
      --service) service=yes ;;
      --no-service) service=no ;;
      --dry-run) dry_run=1 ;;
      --uninstall) uninstall=1 ;;
      -h | --help)
        usage
        exit 0
        ;;
      *) misuse "there is no argument '$1'." ;;
    esac
    shift
  done
  [[ $prefix == /* ]] || misuse "--prefix $prefix: give an absolute path."
  # The path of the program stands in the unit, where blanks, quotes and % mean something.
  [[ $prefix =~ ^[A-Za-z0-9/._+-]+$ ]] || misuse "--prefix $prefix: only letters, digits and / . _ + - may \
be in it."
  [[ $prefix == / ]] || prefix=${prefix%/}
  if [[ -n $root ]]; then
    root=$(realpath -m -- "$root")
    [[ $root != / ]] || root=
  fi
  [[ -z $from || $uninstall == 0 ]] || misuse "--from is of no use to --uninstall."
}

runs_systemd() { [[ -d /run/systemd/system ]]; }

# Whether the service is installed, and where its files go.
settle_service() {
  if [[ $service == auto ]]; then
    service=no
    if [[ -n $root ]] || { ((EUID == 0)) && runs_systemd; }; then service=yes; fi
  fi
  if [[ $service == yes && -z $root ]] && ((EUID != 0)) && ((dry_run == 0)); then
    die "only root can install the service. Run it as root, or give --no-service for the programs alone."
  fi
  case $prefix in
    /usr | /usr/local) lib=$prefix/lib units=$lib/systemd/system sysusers=$lib/sysusers.d ;;
    *) units=/etc/systemd/system sysusers=/etc/sysusers.d ;;
  esac
}

# --- The programs ---------------------------------------------------------------------------------

# Says which version the program $1 is; a program that cannot run here is found before it is installed.
version_of() { "$1" --version 2>/dev/null | sed -n '1s/^[a-z]* //p'; }

newer_sources() {
  find "$top/src" "$top/Cargo.toml" "$top/Cargo.lock" -type f -newer "$from/paxosd" -print -quit
}

# Finds the programs, and builds them where they are missing or older than their sources.
find_programs() {
  if [[ -n $from ]]; then
    [[ -f $from/paxosd && -f $from/paxosctl ]] || die "$from holds no paxosd and paxosctl."
    from=$(cd "$from" && pwd)
  else
    from=${CARGO_TARGET_DIR:-$top/target}/release
    if [[ ! -x $from/paxosd || ! -x $from/paxosctl || -n $(newer_sources) ]]; then build; fi
  fi
  ((dry_run == 0)) || [[ -x $from/paxosd ]] || return 0
  local program
  for program in paxosd paxosctl; do
    [[ -n $(version_of "$from/$program") ]] || die "$from/$program does not run on this machine. Was it \
built for another one? '$from/$program --version' says why."
  done
}

build() {
  if ((dry_run == 1)); then
    say "would build paxosd and paxosctl: cargo build --release"
    return
  fi
  command -v cargo >/dev/null || die "paxosd is not built yet, and cargo is not on the PATH. Build it as a \
user who has Rust (https://rustup.rs) with 'cargo build --release', then run this again; or give --from DIR \
with the programs."
  say "Building paxosd; the first time this takes a few minutes."
  (cd "$top" && cargo build --release --locked --quiet) || die "the build failed; the messages above say why."
}

# --- Doing it -------------------------------------------------------------------------------------

# Says `$1`, and runs the rest unless this is a dry run.
act() {
  local what=$1
  shift
  if ((dry_run == 1)); then
    say "would $what"
    return
  fi
  "$@" || die "could not $what; the message above says why."
  say "$what"
}

# The nearest directory above $1 that exists must be one that we may write to.
check_writable() {
  local folder=$root$1
  while [[ ! -e $folder ]]; do folder=$(dirname "$folder"); done
  [[ -d $folder ]] || die "$folder is no directory, and $root$1 is to lie in it."
  [[ -w $folder ]] || die "$folder cannot be written to. Run this as root, or give another --prefix."
}

# Makes directory $2 with mode $1.
make_dir() {
  if [[ -d $root$2 || -n ${made[$2]:-} ]]; then return; fi
  act "make $root$2" install -d -m "$1" "$root$2"
  made[$2]=yes
}

# Puts file $2 with mode $1 at $3 in one step: whoever opens it finds the old one or the new one, and a
# running program keeps its own.
place() {
  local mode=$1 source=$2 target=$root$3 verb=install
  make_dir 0755 "$(dirname "$3")"
  if [[ -f $target && ! -L $target ]]; then
    if cmp -s "$source" "$target" && [[ $(stat -c %a "$target") == "${mode#0}" ]]; then
      say "unchanged $target"
      return
    fi
    verb=replace
  fi
  [[ ! -d $target ]] || die "$target is a directory, and a file is to be there."
  act "$verb $target" replace "$mode" "$source" "$target"
}

replace() {
  local aside=$3.new-$$
  if ! { install -m "$1" "$2" "$aside" && sync "$aside" && mv -fT "$aside" "$3"; }; then
    rm -f "$aside"
    return 1
  fi
}

# The documents and what they link to, below each other as in the repository, so that the links hold.
place_documents() {
  local file
  for file in README.md CHANGELOG.md LICENSE paxosd.toml scripts/bootstrap.sh scripts/systemd/paxosd.service \
    examples/append_and_read.rs tests/sim_seeds.txt tests/python/paxos_client.py "$top"/docs/*; do
    file=${file#"$top/"}
    if [[ $file == *.sh ]]; then
      place 0755 "$top/$file" "$prefix/share/doc/paxosd/$file"
    else
      place 0644 "$top/$file" "$prefix/share/doc/paxosd/$file"
    fi
  done
}

# Manual pages and completions, which the programs print themselves.
place_pages() {
  local pages program file
  pages=$(mktemp -d)
  # A program given by --from may be too old to print any.
  if "$from/paxosctl" man --dir "$pages" >/dev/null 2>&1; then
    for file in "$pages"/man*/*; do place 0644 "$file" "$prefix/share/man/${file#"$pages/"}"; done
  fi
  for program in paxosd paxosctl; do
    "$from/$program" completions bash >"$pages/bash" 2>/dev/null || continue
    "$from/$program" completions zsh >"$pages/zsh"
    "$from/$program" completions fish >"$pages/fish"
    place 0644 "$pages/bash" "$prefix/share/bash-completion/completions/$program"
    place 0644 "$pages/zsh" "$prefix/share/zsh/site-functions/_$program"
    place 0644 "$pages/fish" "$prefix/share/fish/vendor_completions.d/$program.fish"
  done
  rm -rf "$pages"
}

# The unit with the program's own path.
place_unit() {
  local text
  text=$(mktemp)
  sed -e "s|/usr/local/bin/|$prefix/bin/|" -e "s|/usr/local/share/|$prefix/share/|" \
    "$here/systemd/paxosd.service" >"$text"
  place 0644 "$text" "$units/paxosd.service"
  rm -f "$text"
}

systemd_version() { systemctl --version 2>/dev/null | sed -n '1s/^systemd \([0-9]*\).*/\1/p'; }

make_user() {
  if getent passwd paxosd >/dev/null; then return; fi
  if command -v systemd-sysusers >/dev/null; then
    act "make the user paxosd" systemd-sysusers "$sysusers/paxosd.conf"
  elif command -v useradd >/dev/null; then
    act "make the user paxosd" useradd --system --user-group --no-create-home --home-dir "$data_dir" \
      --shell /usr/sbin/nologin paxosd
  else
    die "there is neither systemd-sysusers nor useradd. Make a system user and group paxosd, then run this \
again."
  fi
}

install_service() {
  place_unit
  place 0644 "$here/systemd/paxosd.sysusers.conf" "$sysusers/paxosd.conf"
  # A packager's machine says nothing about the machines that the package is for.
  local version=
  [[ -n $root ]] || version=$(systemd_version)
  if ((${version:-0} >= 254)); then
    place 0644 "$here/systemd/paxosd-backoff.conf" "$units/paxosd.service.d/backoff.conf"
  fi
  make_dir 0755 "$config_dir"
  if [[ -n $root ]]; then
    make_dir 0700 "$data_dir"
    return
  fi
  make_user
  if [[ ! -d $data_dir ]]; then
    act "make $data_dir for the user paxosd" install -d -m 0700 -o paxosd -g paxosd "$data_dir"
  fi
  if runs_systemd; then act "tell systemd" systemctl daemon-reload; fi
}

cmd_install() {
  find_programs
  local had='' has
  check_writable "$prefix/bin"
  check_writable "$prefix/share/doc/paxosd"
  if [[ $service == yes ]]; then check_writable "$units"; fi
  if [[ -x $root$prefix/bin/paxosd ]]; then had=$(version_of "$root$prefix/bin/paxosd" || true); fi
  place 0755 "$from/paxosctl" "$prefix/bin/paxosctl"
  place 0755 "$from/paxosd" "$prefix/bin/paxosd"
  place_documents
  if [[ -x $from/paxosctl ]]; then place_pages; fi
  if [[ $service == yes ]]; then install_service; fi
  ((dry_run == 0)) || return 0
  has=$(version_of "$root$prefix/bin/paxosd")
  say ''
  if [[ -n $had ]]; then say "paxosd $has is installed; it was $had."; else say "paxosd $has is installed."; fi
  next_steps "$had"
}

next_steps() {
  if [[ $service == no ]]; then
    say "The service was not installed: $(why_no_service)"
    say "By hand: $prefix/bin/paxosd run --config FILE, where $prefix/share/doc/paxosd/paxosd.toml explains \
every key."
  elif [[ -n $root ]]; then
    say "Below $root nothing runs yet: the package makes the user (systemd-sysusers) and $data_dir for it."
  elif [[ ! -f $config_dir/paxosd.toml ]]; then
    say "Next: write $config_dir/paxosd.toml; $here/bootstrap.sh draws up those of a whole cluster."
  elif [[ -n $1 ]]; then
    say "A running node still runs the old program. One node after the other, each after the last is well:"
    say "  systemctl restart paxosd && paxosctl wait --ready"
  fi
}

why_no_service() {
  if ! runs_systemd; then
    say "this machine does not run systemd."
  elif ((EUID != 0)); then
    say "only root can do that."
  else
    say "as you asked."
  fi
}

# --- Taking it away -------------------------------------------------------------------------------

take_away() {
  local target=$root$1
  if [[ -e $target || -L $target ]]; then act "remove $target" rm -f "$target"; fi
}

cmd_uninstall() {
  check_writable "$prefix/bin"
  if [[ -z $root && -f $units/paxosd.service ]] && runs_systemd; then
    act "stop the service, and start it no more" systemctl disable --now paxosd.service
  fi
  local file found=0
  for file in "$prefix/bin/paxosd" "$prefix/bin/paxosctl" "$units/paxosd.service"; do
    if [[ -e $root$file ]]; then found=1; fi
    take_away "$file"
  done
  take_away "$units/paxosd.service.d/backoff.conf"
  if ((dry_run == 0)); then rmdir "$root$units/paxosd.service.d" 2>/dev/null || true; fi
  take_away "$sysusers/paxosd.conf"
  if [[ -d $root$prefix/share/doc/paxosd ]]; then
    act "remove $root$prefix/share/doc/paxosd" rm -rf "$root$prefix/share/doc/paxosd"
  fi
  for file in "$root$prefix"/share/man/man?/paxos{d,ctl}{,.*,-*}.? \
    "$root$prefix"/share/{bash-completion/completions/,zsh/site-functions/_,fish/vendor_completions.d/}paxos{d,ctl}{,.fish}; do
    take_away "${file#"$root"}"
  done
  if [[ -z $root ]] && runs_systemd && ((EUID == 0)); then act "tell systemd" systemctl daemon-reload; fi
  if ((found == 0)); then say "paxosd was not installed at $root$prefix."; fi
  for file in "$config_dir" "$data_dir"; do
    if [[ -d $root$file ]]; then say "kept $root$file: what is in it is yours, and install.sh never removes it."; fi
  done
}

declare -A made=()
parse "$@"
settle_service
if ((uninstall == 1)); then cmd_uninstall; else cmd_install; fi
