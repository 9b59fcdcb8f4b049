# shellcheck shell=bash
# Shared by backup and restore: where an installation keeps its data, and whether workers are running. Needs common.sh.
#
# shellcheck disable=SC2034,SC2154 # the scripts set `work`, a directory of their own, and read what is set here

# What both read of an installation: the database, the key, the data directory.
DATABASE_URL='' KEY_FILE='' DATA_DIR='' DEPLOYMENT=''

# installation_read FILE: reads the settings of a worker, as deploy/install.sh and scripts/up write them.
installation_read() {
  [[ -r $1 ]] || die "there are no settings in $1." "Name the file with the worker's settings: --settings FILE"
  DATABASE_URL=$(env_get "$1" CLAWDEPLOY_DATABASE_URL) || die "$1 has no CLAWDEPLOY_DATABASE_URL."
  KEY_FILE=$(env_get "$1" CLAWDEPLOY_KEY_FILE) || die "$1 has no CLAWDEPLOY_KEY_FILE."
  DATA_DIR=$(env_get "$1" CLAWDEPLOY_DATA_DIR || printf '/data/clawdeploy\n')
  DEPLOYMENT=$(env_get "$1" CLAWDEPLOY_DEPLOYMENT || printf 'clawdeploy\n')
  DOCKER_HOST=$(env_get "$1" CLAWDEPLOY_DOCKER_HOST || printf 'unix:///var/run/docker.sock\n')
  export DOCKER_HOST
  [[ $DATA_DIR == /?* && $DATABASE_URL == postgres*://* ]] || die "$1 has no worker settings."
}

# in_database PROGRAM ARGUMENT...: runs a Postgres program on that database. The password is passed in a private file,
# because every user can read a process's arguments.
in_database() {
  local -r program=$1 pattern='^postgres(ql)?://([^:@/]+)(:([^@]*))?@([^:/]+)(:([0-9]+))?/([^?]+)'
  shift
  [[ $DATABASE_URL =~ $pattern ]] || die "CLAWDEPLOY_DATABASE_URL is not of the form postgres://user:password@host:port/database."
  local -r user=${BASH_REMATCH[2]} password=${BASH_REMATCH[4]} host=${BASH_REMATCH[5]} port=${BASH_REMATCH[7]:-5432}
  local -r database=${BASH_REMATCH[8]}
  # libpq understands the same TLS settings as our programs. The default is also the same.
  local mode='' root=''
  [[ $DATABASE_URL =~ [?\&]sslmode=([a-z-]+) ]] && mode=${BASH_REMATCH[1]}
  [[ $DATABASE_URL =~ [?\&]sslrootcert=([^\&]+) ]] && root=$(printf '%b' "${BASH_REMATCH[1]//%/\\x}")
  if [[ -z $mode ]]; then
    case $host in
      localhost | 127.*) mode=disable ;;
      *) mode=prefer ;;
    esac
    [[ -z $root ]] || mode=verify-full
  fi
  # Our programs use the system's authorities if none is named; libpq does so from version 16 on, if told to.
  if [[ ( -z $root || $root == system ) && $mode == verify-* ]]; then root=/etc/ssl/certs/ca-certificates.crt; fi
  # Pass a name only if there is one: libpq would look for an empty one.
  local -a tls=(PGSSLMODE="$mode")
  if [[ -n $root ]]; then tls+=(PGSSLROOTCERT="$root"); fi
  # ':' and '\' are special characters in that file.
  local escaped=${password//\\/\\\\}
  (umask 077 && printf '*:*:*:*:%s\n' "${escaped//:/\\:}" >"$work/pgpass")
  env "${tls[@]}" PGPASSFILE="$work/pgpass" PGCONNECT_TIMEOUT=10 "$program" --host "$host" --port "$port" --username "$user" \
    --dbname "$database" "$@"
}

# sql STATEMENT: prints its result, unaligned.
sql() { in_database psql --no-psqlrc -qtAX -v ON_ERROR_STOP=1 --command "$1" </dev/null; }

# workers_alive: workers with a recent heartbeat.
workers_alive() {
  if [[ $(sql "SELECT to_regclass('public.workers') IS NOT NULL") != t ]]; then return 1; fi
  [[ $(sql "SELECT count(*) FROM workers WHERE heartbeat_at > now() - interval '15 seconds'") != 0 ]]
}

workers_gone() { ! workers_alive; }

# units_active PATTERN: running systemd units, if the machine uses systemd.
units_active() {
  [[ -d /run/systemd/system ]] || return 0
  systemctl list-units --plain --no-legend --state=active,activating "$1" | cut -d ' ' -f 1
}
