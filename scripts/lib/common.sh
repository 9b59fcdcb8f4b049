# shellcheck shell=bash
# Used by every script: messages, settings files, background processes, ports.
#
# A script that sources this file sets `set -Eeuo pipefail` and may set STATE first. Functions that return a value print it
# to standard output and nothing else there. Messages for people go to standard error.

ROOT=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)
# Everything the scripts keep: data, secrets, logs, pid files, caches.
STATE=${STATE:-$ROOT/.clawdeploy}
readonly ROOT STATE

STARTED_AT=$SECONDS

# --- messages ---------------------------------------------------------------------------------------------------------

# say TEXT...: prints one line with the seconds since the script started.
say() { printf '%6d s  %s\n' "$((SECONDS - STARTED_AT))" "$*" >&2; }

# note TEXT...: prints a line that continues the previous one.
note() { printf '          %s\n' "$*" >&2; }

# warn TEXT...
warn() { printf '%6d s  warning: %s\n' "$((SECONDS - STARTED_AT))" "$*" >&2; }

# die WHAT [WHAT_TO_DO...]: exits. Says what is wrong, then what to do, one line each.
die() {
  printf '\nerror: %s\n' "$1" >&2
  shift
  local line
  for line in "$@"; do printf '  %s\n' "$line" >&2; done
  exit 1
}

# usage_error TEXT: a mistake in the arguments. Exit code 2 distinguishes it from a failure.
usage_error() {
  printf 'error: %s\nSee %s --help.\n' "$1" "${0##*/}" >&2
  exit 2
}

# log_tail FILE [LINES]: prints the end of a log, indented, after a failure.
log_tail() {
  if [[ -s $1 ]]; then
    printf '  --- the end of %s ---\n' "$1" >&2
    tail -n "${2:-20}" -- "$1" | sed 's/^/  | /' >&2
  fi
}

# --- small tools ------------------------------------------------------------------------------------------------------

have() { command -v "$1" >/dev/null 2>&1; }

# wait_for SECONDS COMMAND...: repeats a command until it succeeds; returns 1 when the time is up.
wait_for() {
  local -r until=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < until)) || return 1
    sleep 0.2
  done
}

# random_hex BYTES
random_hex() { od -An -N "$1" -tx1 /dev/urandom | tr -d ' \n'; }

# port_taken PORT: something listens on it, on any address. Reads the kernel's table (state 0A is LISTEN), because
# a connection attempt would miss a listener on another address.
port_taken() {
  local hex
  hex=$(printf ':%04X' "$1")
  awk -v port="$hex" '$4 == "0A" && substr($2, length($2) - 4) == port { found = 1 } END { exit !found }' \
    /proc/net/tcp /proc/net/tcp6 2>/dev/null
}

# free_port FIRST [LAST]: prints the first free port from FIRST on.
free_port() {
  local port
  local -r last=${2:-$(($1 + 200))}
  for ((port = $1; port <= last && port <= 65535; port++)); do
    if ! port_taken "$port"; then
      printf '%d\n' "$port"
      return
    fi
  done
  return 1
}

# free_mib DIRECTORY: free space of its file system, in MiB.
free_mib() { df --output=avail -m -- "$1" | tail -n 1 | tr -d ' '; }

# need_disk DIRECTORY MIB
need_disk() {
  local free
  mkdir -p -- "$1"
  free=$(free_mib "$1")
  ((free >= $2)) || die "$1 has $free MiB free; at least $2 MiB are needed." \
    "Free some space (\`docker system df\` shows what images use), or set CLAWDEPLOY_MIN_DISK_MIB to accept less."
}

# need_root ARGUMENTS...: continues as root. If not root, the script runs itself again with sudo, with the same arguments
# and the caller's CLAWDEPLOY_, DOCKER_, CHAOS_ and proxy settings.
need_root() {
  ((EUID != 0)) || return 0
  have sudo || die "this needs root, and sudo is not installed." "Run it as root: su -c '$0 $*'"
  say "not root: continuing with sudo"
  local keep
  keep=$(compgen -e | grep -E '^(CLAWDEPLOY_|DOCKER_|CHAOS_|CLOUDFLARE_API_TOKEN$|https?_proxy$|HTTPS?_PROXY$|no_proxy$|NO_PROXY$|CI$)' | paste -sd, -)
  exec sudo ${keep:+"--preserve-env=$keep"} -- "$BASH" "$0" "$@"
}

# as_developer COMMAND...: runs it as the user who called sudo, so that they own what it builds and their toolchain is
# found. Without sudo, runs it as the current user.
as_developer() {
  if ((EUID == 0)) && [[ -n ${SUDO_USER:-} && $SUDO_USER != root ]]; then
    local home
    home=$(getent passwd "$SUDO_USER" | cut -d: -f6)
    sudo -u "$SUDO_USER" -H -- env "PATH=$home/.cargo/bin:$PATH" "$@"
  else
    PATH=${HOME:-/root}/.cargo/bin:$PATH "$@"
  fi
}

# give_back PATH...: makes the user who called sudo the owner, so that they can read it without sudo.
give_back() {
  if [[ -n ${SUDO_USER:-} ]]; then chown -- "$SUDO_USER:" "$@"; fi
}

# --- settings in a file -----------------------------------------------------------------------------------------------

# env_put FILE KEY VALUE: sets one line of a KEY='VALUE' file that only its owner can read. Writes a temporary file and
# renames it, so that a reader never sees a partial file.
env_put() {
  local -r file=$1 key=$2 value=$3
  [[ $key =~ ^[A-Z][A-Z0-9_]*$ ]] || die "invalid setting name: $key"
  [[ $value != *[$'\n'\'\"\\\$\`]* ]] || die "the value of $key contains a character that is not allowed in a settings file."
  local temp
  mkdir -p -- "$(dirname -- "$file")"
  temp=$(umask 077 && mktemp -- "$file.XXXXXX")
  if [[ -f $file ]]; then grep -v "^$key=" -- "$file" >"$temp" || true; fi
  printf "%s='%s'\n" "$key" "$value" >>"$temp"
  give_back "$temp"
  mv -f -- "$temp" "$file"
}

# env_get FILE KEY: prints its value; returns 1 if there is none.
env_get() {
  local line
  line=$(grep -m 1 "^$2=" -- "$1" 2>/dev/null) || return 1
  line=${line#*=}
  line=${line#\'}
  printf '%s\n' "${line%\'}"
}

# env_keep FILE KEY COMMAND...: prints the value in the file. If there is none, stores what COMMAND prints first.
env_keep() {
  local -r file=$1 key=$2
  shift 2
  local value
  if ! value=$(env_get "$file" "$key"); then
    value=$("$@")
    env_put "$file" "$key" "$value"
  fi
  printf '%s\n' "$value"
}

# --- background processes ---------------------------------------------------------------------------------------------
# A pid file holds the pid and the start time of the process (clock ticks since boot). After a crash or a reboot, the pid may
# belong to another process, and no other process may ever be signaled.

# process_stat PID N: the Nth field after the command name in proc(5)'s stat.
process_stat() {
  local stat
  local -a fields
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  # The name is in parentheses and may contain spaces and parentheses.
  read -r -a fields <<<"${stat##*) }"
  printf '%s\n' "${fields[$2 - 1]}"
}

# process_start PID
process_start() { process_stat "$1" 20; }

# pid_put FILE PID
pid_put() {
  mkdir -p -- "$(dirname -- "$1")"
  printf '%s %s\n' "$2" "$(process_start "$2")" >"$1"
}

# pid_alive FILE: prints the pid if that same process still runs.
pid_alive() {
  local pid start now
  read -r pid start 2>/dev/null <"$1" || return 1
  now=$(process_start "$pid") || return 1
  [[ -n $start && $now == "$start" ]] || return 1
  # A zombie no longer runs; its parent has not collected it yet.
  [[ $(process_stat "$pid" 1) != Z ]] || return 1
  printf '%s\n' "$pid"
}

# running NAME: the process that `spawn NAME` started.
running() { pid_alive "$STATE/run/$1.pid" >/dev/null; }

# pid_gone FILE
pid_gone() { ! pid_alive "$1" >/dev/null; }

# pid_stop FILE SECONDS [SIGNAL]: asks the process to exit, waits, then kills it. Removes the file.
pid_stop() {
  local pid
  if pid=$(pid_alive "$1"); then
    kill "-${3:-TERM}" "$pid" 2>/dev/null || true
    if ! wait_for "$2" pid_gone "$1"; then
      warn "process $pid did not end within $2 s; killing it"
      kill -KILL "$pid" 2>/dev/null || true
      wait_for 5 pid_gone "$1" || true
    fi
  fi
  rm -f -- "$1"
}

# only_one: waits until no other run uses this state directory. Holds the lock (file descriptor 9) until the script ends.
only_one() {
  mkdir -p -- "$STATE"
  give_back "$STATE"
  exec 9>"$STATE/lock"
  if ! flock --nonblock 9; then
    say "another run is using $STATE; waiting for it"
    flock --timeout 1800 9 || die "another run still holds $STATE/lock after half an hour."
  fi
}

# spawn NAME COMMAND...: runs a command detached from this terminal and from the lock. Its output goes to
# $STATE/log/NAME.log, its pid to $STATE/run/NAME.pid.
spawn() {
  local -r name=$1
  shift
  mkdir -p -- "$STATE/log" "$STATE/run"
  # shellcheck disable=SC2016 # the inner shell expands it: it writes its own pid, then becomes the command
  setsid --fork "$BASH" -c 'cd /; printf "%s\n" "$$" >"$1"; shift; exec "$@"' spawn "$STATE/run/$name.pid.new" "$@" \
    >>"$STATE/log/$name.log" 2>&1 </dev/null 9>&-
  wait_for 30 test -s "$STATE/run/$name.pid.new" || die "could not start $name."
  pid_put "$STATE/run/$name.pid" "$(cat "$STATE/run/$name.pid.new")"
  rm -f -- "$STATE/run/$name.pid.new"
}
