# shellcheck shell=bash
# scripts/bench scale. Needs common.sh, packages.sh and services.sh.
#
# Starts a Postgres of its own, in a directory of its own that is removed at the end, and without a running stack. Each part
# is a cargo benchmark that prints lines of the same form: what, median, most, budget, and whether the median meets it. The
# first part makes the data.

# Packages and their benchmarks, each of which takes --jobs and --rounds.
readonly BENCH_SCALE_PARTS=(clawdeploy-shared:scale clawdeploy-worker:drift)
# Measured with ten million jobs, events, entries of the audit log and a day of usage included.
readonly BENCH_SCALE_BYTES_PER_JOB=2000

bench_scale_cleanup() {
  if [[ -n ${BENCH_POSTGRES:-} ]]; then
    kill -INT "$BENCH_POSTGRES" 2>/dev/null || true
    wait "$BENCH_POSTGRES" 2>/dev/null || true
  fi
  rm -rf --one-file-system -- "$BENCH_DIR"
}

# bench_scale_start: starts Postgres in BENCH_DIR and sets BENCH_URL.
bench_scale_start() {
  local bin password
  bin=$(postgres_bin)
  password=$(random_hex 24)
  chown postgres:postgres "$BENCH_DIR"
  # The socket is in it. The password keeps others out.
  chmod 0711 "$BENCH_DIR"
  install -o postgres -g postgres -m 0600 /dev/null "$BENCH_DIR/password"
  printf '%s\n' "$password" >"$BENCH_DIR/password"
  (cd / && runuser -u postgres -- "$bin/initdb" --pgdata "$BENCH_DIR/data" --username "$POSTGRES_ROLE" --pwfile "$BENCH_DIR/password" \
    --auth scram-sha-256 --encoding UTF8 --locale C.UTF-8 --no-sync >"$BENCH_DIR/initdb.log" 2>&1 </dev/null) || {
    log_tail "$BENCH_DIR/initdb.log"
    die "Postgres could not create a cluster in $BENCH_DIR."
  }
  # Nothing is to survive a crash. Autovacuum would compete with the loading; the tables are vacuumed after it.
  (cd / && exec setpriv --reuid=postgres --regid=postgres --init-groups "$bin/postgres" -D "$BENCH_DIR/data" \
    -c listen_addresses= -c "unix_socket_directories=$BENCH_DIR" -c fsync=off -c full_page_writes=off -c synchronous_commit=off \
    -c wal_level=minimal -c max_wal_senders=0 -c max_wal_size=2GB -c autovacuum=off -c shared_buffers=2GB -c work_mem=16MB) \
    >"$BENCH_DIR/postgres.log" 2>&1 </dev/null &
  BENCH_POSTGRES=$!
  wait_for 60 "$bin/pg_isready" --quiet --host "$BENCH_DIR" || {
    log_tail "$BENCH_DIR/postgres.log"
    die "Postgres does not start."
  }
  BENCH_URL="postgres://$POSTGRES_ROLE:$password@${BENCH_DIR//\//%2F}/postgres"
}

# bench_scale ROUNDS JSON JOBS
bench_scale() {
  local -r rounds=$1 jobs=$3
  local part free
  packages_ensure postgresql util-linux
  cargo_ensure
  BENCH_DIR=$(mktemp -d -- "$(services_home)/bench-scale.XXXXXX")
  trap bench_scale_cleanup EXIT
  free=$(df --output=avail --block-size=1 -- "$BENCH_DIR" | tail -n 1)
  ((free > jobs * BENCH_SCALE_BYTES_PER_JOB + 5000000000)) ||
    die "$jobs jobs need $(((jobs * BENCH_SCALE_BYTES_PER_JOB + 5000000000) / 1000000000)) GB in $BENCH_DIR." "Pass a smaller number: --jobs"
  say "compiling"
  for part in "${BENCH_SCALE_PARTS[@]}"; do
    as_developer cargo bench --quiet --locked --package "${part%:*}" --bench "${part#*:}" --no-run
  done
  bench_scale_start
  say "$jobs jobs (ten million take a quarter of an hour to make), then $rounds rounds of each query"
  printf '\n%-58s%12s%12s%12s  %s\n' '(ms)' median most budget met
  for part in "${BENCH_SCALE_PARTS[@]}"; do
    CLAWDEPLOY_DATABASE_URL=$BENCH_URL as_developer cargo bench --quiet --locked --package "${part%:*}" --bench "${part#*:}" -- \
      --jobs "$jobs" --rounds "$rounds"
  done
}
