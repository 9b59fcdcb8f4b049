#!/usr/bin/env bats
# The private Postgres and Redis, started for real in a directory of the test.

bats_require_minimum_version 1.5.0

setup_file() {
  [[ $EUID -eq 0 ]] || skip "needs root"
  export STATE=$BATS_FILE_TMPDIR/state
}

setup() {
  source "$BATS_TEST_DIRNAME/../lib/common.sh"
  source "$BATS_TEST_DIRNAME/../lib/packages.sh"
  source "$BATS_TEST_DIRNAME/../lib/services.sh"
  ENV=$STATE/env
}

teardown_file() {
  source "$BATS_TEST_DIRNAME/../lib/common.sh"
  source "$BATS_TEST_DIRNAME/../lib/packages.sh"
  source "$BATS_TEST_DIRNAME/../lib/services.sh"
  redis_stop
  postgres_stop
  services_home_remove
}

@test "Postgres starts on loopback with a password, and starting it again changes nothing" {
  postgres_start "$ENV" fsync=off
  pid=$(pid_alive "$STATE/run/postgres.pid")
  [[ $(stat -c %U "/proc/$pid") == postgres ]]
  postgres_start "$ENV" fsync=off
  [[ $(pid_alive "$STATE/run/postgres.pid") == "$pid" ]]
  [[ $(psql -qtAd "$(postgres_url "$ENV" postgres)" -c 'SHOW listen_addresses') == 127.0.0.1 ]]
  run env PGPASSWORD=wrong psql -d "postgres://clawdeploy@127.0.0.1:$(env_get "$ENV" POSTGRES_PORT)/postgres" -c 'SELECT 1'
  [[ $status -ne 0 && $output == *"password authentication failed"* ]]
}

@test "a database is made once" {
  postgres_database "$ENV" shop
  psql -qd "$(postgres_url "$ENV" shop)" -c 'CREATE TABLE kept (id int)'
  postgres_database "$ENV" shop
  psql -qd "$(postgres_url "$ENV" shop)" -c 'SELECT * FROM kept'
}

@test "Postgres killed hard comes back with its data, on another port when its own is taken" {
  before=$(env_get "$ENV" POSTGRES_PORT)
  pid_stop "$STATE/run/postgres.pid" 5 QUIT
  spawn squatter python3 -c "
import socket, time
s = socket.create_server(('127.0.0.1', $before)); time.sleep(60)"
  wait_for 60 port_taken "$before"
  postgres_start "$ENV" fsync=off
  pid_stop "$STATE/run/squatter.pid" 5
  [[ $(env_get "$ENV" POSTGRES_PORT) != "$before" ]]
  psql -qd "$(postgres_url "$ENV" shop)" -c 'SELECT * FROM kept'
}

@test "Redis wants its password, evicts nothing and keeps what it has over a restart" {
  redis_start "$ENV" 'appendonly yes'
  [[ $(stat -c %U "/proc/$(pid_alive "$STATE/run/redis.pid")") == redis ]]
  [[ $(tr '\0' ' ' <"/proc/$(pid_alive "$STATE/run/redis.pid")/cmdline") != *"$(env_get "$ENV" REDIS_PASSWORD)"* ]]
  url=$(redis_url "$ENV" 0)
  [[ $(redis-cli -h 127.0.0.1 -p "$(env_get "$ENV" REDIS_PORT)" ping) == NOAUTH* ]]
  redis-cli --no-auth-warning -u "$url" set kept 1
  [[ $(redis-cli --no-auth-warning -u "$url" config get maxmemory-policy) == *noeviction* ]]
  redis_stop
  redis_start "$ENV" 'appendonly yes'
  [[ $(redis-cli --no-auth-warning -u "$(redis_url "$ENV" 0)" get kept) == 1 ]]
}

@test "services live under /var/lib when their users cannot enter the clone" {
  mkdir -m 0700 "$BATS_TEST_TMPDIR/closed"
  # STATE is readonly once the library is loaded, so another shell loads it again.
  run env STATE="$BATS_TEST_TMPDIR/closed/state" bash -c '
    source "$1/common.sh"; source "$1/packages.sh"; source "$1/services.sh"
    services_home && services_home_remove' _ "$BATS_TEST_DIRNAME/../lib"
  [[ $status -eq 0 && $output == /var/lib/clawdeploy-local/* ]]
  [[ ! -e $output ]]
}
