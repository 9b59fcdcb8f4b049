# shellcheck shell=bash
# How the installer changes a machine: only what is missing or different. Each change is printed and counted; with --dry-run
# it is only printed. Needs common.sh.
#
# shellcheck disable=SC2034,SC2154 # install.sh sets what is read here, and reads what is set

# The settings of the API and of all workers.
readonly ETC=/etc/clawdeploy
readonly API_ENV=$ETC/api.env WORKER_ENV=$ETC/worker.env

changes=0
# What is left for a person to do.
todo=()

# change WHAT COMMAND...: makes the change, or prints it with --dry-run.
change() {
  local -r what=$1
  shift
  changes=$((changes + 1))
  if [[ $dry_run == yes ]]; then
    say "would do: $what"
  else
    say "$what"
    "$@"
  fi
}

with_systemd() { [[ -d /run/systemd/system ]]; }

# file_ensure SOURCE TARGET MODE [OWNER]: makes sure that TARGET has that content. Writes a new file and renames it.
file_ensure() {
  local -r owner=${4:-root:root}
  if [[ -f $2 && $(stat -c '%a %U:%G' -- "$2") == "${3#0} $owner" ]] && cmp -s -- "$1" "$2"; then return; fi
  change "writing $2" file_put "$1" "$2" "$3" "$owner"
}

file_put() {
  mkdir -p -- "${2%/*}"
  install -m "$3" -o "${4%:*}" -g "${4#*:}" -- "$1" "$2.new"
  mv -f -- "$2.new" "$2"
}

# directory_ensure PATH MODE
directory_ensure() {
  if [[ ! -d $1 ]]; then change "creating $1" install -d -m "$2" -- "$1"; fi
}

# setting_ensure FILE KEY VALUE: adds the setting if the file does not have it yet.
setting_ensure() {
  if ! env_get "$1" "$2" >/dev/null; then change "setting $2 in $1" env_put "$1" "$2" "$3"; fi
}

# setting KEY DEFAULT: the value in the worker's file, else the caller's, else the default.
setting() { env_get "$WORKER_ENV" "$1" || printf '%s\n' "${!1:-$2}"; }

# user_ensure NAME [GROUP]: makes sure that there is a system user that cannot log in.
user_ensure() {
  if ! getent passwd "$1" >/dev/null; then
    change "creating the user $1" useradd --system --user-group --no-create-home --home-dir /nonexistent \
      --shell /usr/sbin/nologin "$1"
  fi
  if [[ -n ${2:-} ]] && ! id -nG "$1" 2>/dev/null | grep -qw -- "$2"; then
    change "adding $1 to the group $2" usermod --append --groups "$2" "$1"
  fi
}

# remove PATH...: removes the paths that exist.
remove() {
  local path
  for path in "$@"; do
    if [[ -e $path || -L $path ]]; then change "removing $path" rm -rf --one-file-system -- "$path"; fi
  done
}
