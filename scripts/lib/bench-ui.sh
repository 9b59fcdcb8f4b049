# shellcheck shell=bash
# scripts/bench ui. Needs common.sh, packages.sh, services.sh, stack.sh and bench-queue.sh.
#
# The instances are rows without containers, in a separate database with a separate API beside the stack's: the same program,
# on the same Postgres and Redis. No worker serves that database. The stack's workers would change such rows (an instance
# that is updating without a running job is stuck, one without files is measured again and again), so they would have to be
# stopped. With a separate database they keep running, and a run leaves behind at most a database that the next run drops.
#
# The browser runs on the same machine and speaks HTTP/1.1 with the API, without nginx: this measures the UI, not a network.

readonly BENCH_UI_INSTANCES=${BENCH_UI_INSTANCES:-1000}
readonly BENCH_UI_EMAIL=bench@clawdeploy.local
readonly BENCH_UI_FIRST_PORT=28080

# bench_ui_api PORT: serves the benchmark's database, in the background.
bench_ui_api() {
  CLAWDEPLOY_LISTEN=127.0.0.1:$1 CLAWDEPLOY_PUBLIC_URL=http://127.0.0.1:$1 \
    bench_program api serve 2>>"$STATE/log/bench-api.log" &
  BENCH_PIDS+=($!)
  wait_for 20 curl --silent --fail --noproxy '*' --output /dev/null "http://127.0.0.1:$1/readyz" || {
    log_tail "$STATE/log/bench-api.log"
    die "the API of the benchmark does not start."
  }
}

# bench_ui ROUNDS JSON_FILE
bench_ui() {
  local port password
  BENCH_DIR=$(mktemp -d -- "$STATE/bench.XXXXXX")
  trap 'bench_queue_cleanup; rm -rf --one-file-system -- "$BENCH_DIR"' EXIT
  browser_ensure
  say "$BENCH_UI_INSTANCES instances as rows"
  bench_queue_fresh
  (bench_program api migrate) 2>/dev/null
  password=$(random_hex 16)
  (bench_program api user create --email "$BENCH_UI_EMAIL" --name Bench --password-stdin) <<<"$password" >/dev/null
  psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --set "instances=$BENCH_UI_INSTANCES" \
    --file "$ROOT/scripts/bench-ui/instances.sql" "$(postgres_url "$ENV_FILE" "$BENCH_QUEUE_DATABASE")" >/dev/null
  port=$(free_port "$BENCH_UI_FIRST_PORT")
  bench_ui_api "$port"
  say "Chromium, $1 rounds"
  BENCH_EMAIL=$BENCH_UI_EMAIL BENCH_PASSWORD=$password \
    node "$ROOT/scripts/bench-ui/bench.mjs" "http://127.0.0.1:$port" "$1" >"$BENCH_DIR/results"
  bench_ui_table "$BENCH_DIR/results"
  if [[ -n $2 ]]; then cp -- "$BENCH_DIR/results" "$2"; fi
}

# bench_ui_table RESULTS
bench_ui_table() {
  jq -r '
    def median: sort | if length % 2 == 1 then .[length / 2 | floor] else (.[length / 2 - 1] + .[length / 2]) / 2 end;
    def cell: if . == null then "" else . * 10 | round / 10 | tostring end | (" " * ([10 - length, 0] | max)) + .;
    ["", (" " * 50) + "    median      most    budget"]
      + map((.name + (if .unit == "" then "" else ", " + .unit end) + " " * 50)[0:50]
          + (.values | median | cell) + (.values | max | cell) + (.budget | cell))
    | .[]' "$1"
}
