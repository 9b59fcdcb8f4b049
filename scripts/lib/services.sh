# shellcheck shell=bash
# A private Postgres and a private Redis: on 127.0.0.1, on free ports, with passwords, in our own directory. The machine's
# own services are never used, changed or stopped. Needs common.sh and packages.sh.
#
# Both keep their settings in one file of KEY='value' lines (0600) under the keys PREFIX_PORT and PREFIX_PASSWORD.

readonly POSTGRES_ROLE=clawdeploy
# Above the instances' ports (10000-20000), below the kernel's ephemeral ports (32768 and up).
readonly POSTGRES_FIRST_PORT=25432 REDIS_FIRST_PORT=26379

# services_home: the data directory of services that run as their own users. It is $STATE/services, or a directory under
# /var/lib if those users cannot access that (for example, a clone in /root).
services_home() {
  local home=$STATE/services
  mkdir -p -- "$home"
  chmod 0711 "$STATE" "$home"
  if ! setpriv --reuid=65534 --regid=65534 --clear-groups test -x "$home"; then
    home=/var/lib/clawdeploy-local/$(printf '%s' "$STATE" | sha256sum | cut -c 1-12)
    install -d -m 0711 /var/lib/clawdeploy-local "$home"
  fi
  printf '%s\n' "$home"
}

# services_home_remove: removes it, with everything in it.
services_home_remove() {
  local home
  home=$(services_home)
  rm -rf --one-file-system -- "$home" "$STATE/services"
  rmdir /var/lib/clawdeploy-local 2>/dev/null || true
}

# own_port FILE KEY FIRST: the port stored under KEY, or a free one from FIRST on if none is stored or another program took
# it meanwhile. Call it only while our own service is down.
own_port() {
  local port
  if ! port=$(env_get "$1" "$2") || port_taken "$port"; then
    port=$(free_port "$3") || die "there is no free port from $3 on." "Stop a program that listens there."
    env_put "$1" "$2" "$port"
  fi
  printf '%s\n' "$port"
}

# --- Postgres ---------------------------------------------------------------------------------------------------------

# postgres_start ENV_FILE [OPTION=VALUE...]: starts Postgres unless it runs. Creates the cluster at the first start. Options
# are passed to the server unchanged.
postgres_start() {
  local -r env=$1
  shift
  packages_ensure postgresql util-linux
  if running postgres; then return; fi

  local home bin port password setting
  local -a settings=()
  home=$(services_home)/postgres
  bin=$(postgres_bin)
  password=$(env_keep "$env" POSTGRES_PASSWORD random_hex 24)
  if [[ ! -s $home/data/PG_VERSION ]]; then
    rm -rf --one-file-system -- "$home"
    install -d -o postgres -g postgres -m 0700 "$home"
    install -o postgres -g postgres -m 0600 /dev/null "$home/password"
    printf '%s\n' "$password" >"$home/password"
    mkdir -p -- "$STATE/log"
    # Run it from a directory that the user may enter.
    if ! (cd / && runuser -u postgres -- "$bin/initdb" --pgdata "$home/data" --username "$POSTGRES_ROLE" \
      --pwfile "$home/password" --auth scram-sha-256 --encoding UTF8 --locale C.UTF-8 --no-instructions \
      >"$STATE/log/initdb.log" 2>&1 </dev/null); then
      log_tail "$STATE/log/initdb.log"
      rm -rf --one-file-system -- "$home"
      die "Postgres could not create its cluster in $home."
    fi
    rm -f -- "$home/password"
  else
    # A cluster belongs to the major version that created it, even if a newer one is installed by now.
    bin=/usr/lib/postgresql/$(cat "$home/data/PG_VERSION")/bin
    [[ -x $bin/postgres ]] || die "the data in $home belongs to Postgres ${bin//[^0-9]/}, which is no longer installed." \
      "Install that version again, or start over: scripts/up --wipe"
  fi

  port=$(own_port "$env" POSTGRES_PORT "$POSTGRES_FIRST_PORT")
  for setting in listen_addresses=127.0.0.1 "port=$port" unix_socket_directories= max_connections=200 "$@"; do
    settings+=(-c "$setting")
  done
  # A hard crash leaves this file behind; at this point our own server is known to be down.
  rm -f -- "$home/data/postmaster.pid"
  : >"$STATE/log/postgres.log"
  spawn postgres setpriv --reuid=postgres --regid=postgres --init-groups "$bin/postgres" -D "$home/data" "${settings[@]}"
  if ! wait_for 60 "$bin/pg_isready" --quiet --host 127.0.0.1 --port "$port" --username "$POSTGRES_ROLE"; then
    log_tail "$STATE/log/postgres.log"
    die "the private Postgres does not start." "Its data is in $home, its log in $STATE/log/postgres.log."
  fi
}

# postgres_url ENV_FILE DATABASE
postgres_url() {
  printf 'postgres://%s:%s@127.0.0.1:%s/%s\n' "$POSTGRES_ROLE" "$(env_get "$1" POSTGRES_PASSWORD)" \
    "$(env_get "$1" POSTGRES_PORT)" "$2"
}

# postgres_database ENV_FILE NAME: creates a database unless it exists.
postgres_database() {
  local url
  url=$(postgres_url "$1" postgres)
  if [[ $(psql --no-psqlrc -qtAd "$url" -v name="$2" <<<"SELECT 1 FROM pg_database WHERE datname = :'name'") != 1 ]]; then
    psql --no-psqlrc -qd "$url" -v ON_ERROR_STOP=1 -v name="$2" <<<'CREATE DATABASE :"name"'
  fi
}

# SIGINT is Postgres's fast shutdown: it ends sessions instead of waiting for them.
postgres_stop() { pid_stop "$STATE/run/postgres.pid" 30 INT; }

# --- Redis ------------------------------------------------------------------------------------------------------------

# redis_start ENV_FILE [LINE...]: starts Redis unless it runs. Lines are copied to its configuration file.
redis_start() {
  local -r env=$1
  shift
  packages_ensure redis-server util-linux
  if running redis; then return; fi

  local home port password user=redis
  home=$(services_home)/redis
  getent passwd "$user" >/dev/null || user=nobody
  password=$(env_keep "$env" REDIS_PASSWORD random_hex 24)
  port=$(own_port "$env" REDIS_PORT "$REDIS_FIRST_PORT")
  install -d -o "$user" -m 0700 "$home" "$home/data"
  # The password is in a file, not on the command line, which every user of the machine can read.
  install -o "$user" -m 0600 /dev/null "$home/redis.conf"
  {
    printf '%s\n' 'bind 127.0.0.1' "port $port" "requirepass $password" "dir $home/data" 'daemonize no' \
      'maxmemory-policy noeviction' 'save ""' "$@"
  } >"$home/redis.conf"
  : >"$STATE/log/redis.log"
  spawn redis setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups redis-server "$home/redis.conf"
  if ! wait_for 30 redis_answers "$env"; then
    log_tail "$STATE/log/redis.log"
    die "the private Redis does not start." "Its data is in $home, its log in $STATE/log/redis.log."
  fi
}

redis_answers() {
  [[ $(REDISCLI_AUTH=$(env_get "$1" REDIS_PASSWORD) \
    timeout 5 redis-cli -h 127.0.0.1 -p "$(env_get "$1" REDIS_PORT)" ping) == PONG ]]
}

# redis_url ENV_FILE DATABASE_NUMBER
redis_url() {
  printf 'redis://default:%s@127.0.0.1:%s/%s\n' "$(env_get "$1" REDIS_PASSWORD)" "$(env_get "$1" REDIS_PORT)" "$2"
}

redis_stop() { pid_stop "$STATE/run/redis.pid" 15; }
