# shellcheck shell=bash
# scripts/bench terminal. Needs common.sh and stack.sh.
#
# Both sides are read by the same program, and begin in the same container: a shell through ClawDeploy's API and a worker, and
# one through Docker's API alone. What the kernel's terminal and Docker take is in both.

BENCH_INSTANCE='' BENCH_RESULTS=''

bench_terminal_cleanup() {
  if [[ -n $BENCH_INSTANCE ]]; then api DELETE "/api/instances/$BENCH_INSTANCE" >/dev/null 2>&1 || true; fi
  BENCH_INSTANCE=''
}

# bench_terminal ROUNDS JSON_FILE
bench_terminal() {
  local answer origin
  BENCH_RESULTS=$(mktemp)
  trap 'bench_terminal_cleanup; rm -f -- "$BENCH_RESULTS"' EXIT
  answer=$(api POST /api/instances --header 'Content-Type: application/json' --data '{"name":"bench terminal"}')
  BENCH_INSTANCE=$(jq -r '.instance.id' <<<"$answer")
  job_wait "$(jq -r '.job.id' <<<"$answer")" 300 2>/dev/null
  origin=$(env_get "$ENV_FILE" CLAWDEPLOY_PUBLIC_URL)
  CLAWDEPLOY_URL=$(env_get "$ENV_FILE" CLAWDEPLOY_URL) CLAWDEPLOY_TOKEN=$(env_get "$ENV_FILE" CLAWDEPLOY_TOKEN) \
    CLAWDEPLOY_ORIGIN=${origin:-$(env_get "$ENV_FILE" CLAWDEPLOY_URL)} \
    node "$ROOT/scripts/bench-terminal/bench.mjs" "$BENCH_INSTANCE" "$1" >"$BENCH_RESULTS"
  bench_terminal_table "$BENCH_RESULTS"
  if [[ -n $2 ]]; then cp -- "$BENCH_RESULTS" "$2"; fi
  bench_terminal_cleanup
}

# bench_terminal_table RESULTS
bench_terminal_table() {
  jq -r '
    def median: sort | if length % 2 == 1 then .[length / 2 | floor] else (.[length / 2 - 1] + .[length / 2]) / 2 end;
    def cell: (. * 100 | round / 100 | tostring) | (" " * ([12 - length, 0] | max)) + .;
    . as $all | ["", "(medians)                    clawdeploy      docker       ratio"]
      + ($all.docker[0] | keys_unsorted | map(. as $key
          | ($all.clawdeploy | map(.[$key]) | median) as $ours | ($all.docker | map(.[$key]) | median) as $plain
          | ($key + " " * 27)[0:27] + ($ours | cell) + ($plain | cell) + ($ours / $plain | cell)))
    | .[]' "$1"
}
