# shellcheck shell=bash
# scripts/bench terminal. Needs common.sh and stack.sh.
#
# The same program reads all sides, and all run in the same container: a shell through ClawDeploy's API and a worker, one
# through Docker's API alone and, if ttyd is installed, one through ttyd and `docker exec`. All include the time of the
# kernel's terminal and of Docker. Debian 12 has no ttyd: https://github.com/tsl0922/ttyd explains how to build it.

BENCH_INSTANCE='' BENCH_RESULTS=''

bench_terminal_cleanup() {
  if [[ -n $BENCH_INSTANCE ]]; then api DELETE "/api/instances/$BENCH_INSTANCE" >/dev/null 2>&1 || true; fi
  BENCH_INSTANCE=''
  pid_stop "$STATE/run/ttyd.pid" 5
}

# bench_ttyd PORT: serves a shell in the instance's container to any client.
bench_ttyd() {
  spawn ttyd ttyd --interface 127.0.0.1 --port "$1" --writable --max-clients 1 \
    docker --host "$DOCKER_HOST" exec --interactive --tty "claw-$BENCH_INSTANCE" sh
  wait_for 10 port_taken "$1"
}

# bench_terminal ROUNDS JSON_FILE
bench_terminal() {
  local answer origin ttyd_port=''
  BENCH_RESULTS=$(mktemp)
  trap 'bench_terminal_cleanup; rm -f -- "$BENCH_RESULTS"' EXIT
  answer=$(api POST /api/instances --header 'Content-Type: application/json' --data '{"name":"bench terminal"}')
  BENCH_INSTANCE=$(jq -r '.instance.id' <<<"$answer")
  job_wait "$(jq -r '.job.id' <<<"$answer")" 300 2>/dev/null
  origin=$(env_get "$ENV_FILE" CLAWDEPLOY_PUBLIC_URL)
  if have ttyd; then
    ttyd_port=$(free_port 17681)
    bench_ttyd "$ttyd_port"
  fi
  TTYD_PORT=$ttyd_port CLAWDEPLOY_URL=$(env_get "$ENV_FILE" CLAWDEPLOY_URL) CLAWDEPLOY_TOKEN=$(env_get "$ENV_FILE" CLAWDEPLOY_TOKEN) \
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
    def of($side; $key): map_values(map(.[$key]) | median)[$side];
    . as $all | (.ttyd != null) as $ttyd
      | ["", "(medians)                    clawdeploy      docker       ratio" + if $ttyd then "        ttyd" else "" end]
        + ($all.docker[0] | keys_unsorted | map(. as $key
          | ($all | of("clawdeploy"; $key)) as $ours | ($all | of("docker"; $key)) as $plain
          | ($key + " " * 27)[0:27] + ($ours | cell) + ($plain | cell) + ($ours / $plain | cell)
            + if $ttyd then ($all | of("ttyd"; $key) | cell) else "" end))
    | .[]' "$1"
}
