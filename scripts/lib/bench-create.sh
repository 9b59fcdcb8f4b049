# shellcheck shell=bash
# scripts/bench create. Needs common.sh, docker.sh and stack.sh.
#
# Three sides: "warm" takes an instance from the warm pool, "ours" boots one (its memory limit is not the pool's), and
# "plain" is `docker run`. All end at the same event, seen from outside: the gateway's /startupz answers 200 on its port of
# 127.0.0.1. Our clock starts before the HTTP request and so includes everything: request, database, queue, files, network,
# container. The time to create the plain side's config directory is not counted.
#
# Ours go on until the dashboard is in a browser: a link is asked for until there is one, and Chromium, which runs already,
# opens it. The clock stops when the page has content ("painted") and when the gateway has let it in ("connected"). Once the
# job has ended, the same is measured again for the instance that runs: less is not possible.

# The default limits of an instance.
readonly -a BENCH_LIMITS=(--init --memory 2g --cpus 1)
readonly BENCH_FIRST_PORT=21000
readonly BENCH_PATIENCE=180
# One MiB more than the warm pool's, so that a creation boots.
readonly BENCH_COLD_MEMORY_MB=2049

# What must be removed at the end, even after an error.
BENCH_INSTANCE='' BENCH_CONTAINER='' BENCH_DIR='' BENCH_RESULTS=''

bench_cleanup() {
  if [[ -n $BENCH_INSTANCE ]]; then api DELETE "/api/instances/$BENCH_INSTANCE" >/dev/null 2>&1 || true; fi
  if [[ -n $BENCH_CONTAINER ]]; then docker rm --force --volumes "$BENCH_CONTAINER" >/dev/null 2>&1 || true; fi
  if [[ -n $BENCH_DIR ]]; then rm -rf --one-file-system -- "$BENCH_DIR"; fi
  BENCH_INSTANCE='' BENCH_CONTAINER='' BENCH_DIR=''
}

now_ms() { printf '%s\n' "$((${EPOCHREALTIME/[.,]/} / 1000))"; }

# answers PORT [CURL_ARGUMENTS...]: waits until the gateway there is ready.
answers() {
  local -r until=$((SECONDS + BENCH_PATIENCE))
  until [[ $(curl --silent --max-time 2 --output /dev/null --write-out '%{http_code}' \
    "${@:2}" "http://127.0.0.1:$1/startupz") == 200 ]]; do
    ((SECONDS < until)) || return 1
    sleep 0.02
  done
}

# instance_answers PORT: waits until the gateway of an instance there is ready.
instance_answers() {
  # Behind nginx, OpenClaw answers only if X-Forwarded-For names a client that is not on this machine.
  local -a client=()
  if [[ $(env_get "$ENV_FILE" CLAWDEPLOY_ROUTING) == nginx ]]; then client=(--header 'X-Forwarded-For: 203.0.113.7'); fi
  answers "$1" "${client[@]}"
}

# pool_ready: whether the warm pool has an instance, and nothing of it is being made.
pool_ready() { api GET /api/admin/capacity | jq -e '.warmPool | .ready > 0 and .warming == 0' >/dev/null; }

# bench_link: prints a link to the dashboard of the instance, once it runs.
bench_link() { api POST "/api/instances/$BENCH_INSTANCE/dashboard-link" 2>/dev/null | jq -re .url; }

# bench_dashboard BEGIN NAME: opens the dashboard in Chromium; prints a JSON object with the milliseconds from BEGIN until there
# was a link, and until the page was painted and connected. NAME is put before their names.
bench_dashboard() {
  local link linked painted connected
  until link=$(bench_link); do sleep 0.02; done
  linked=$(now_ms)
  printf '%s\n' "$link" >&"${BENCH_BROWSER[1]}"
  read -r -t "$BENCH_PATIENCE" painted connected <&"${BENCH_BROWSER[0]}" || die "Chromium does not show the dashboard."
  jq -nc --arg name "$2" --argjson linked "$((linked - $1))" --argjson painted "$((painted - $1))" --argjson connected "$((connected - $1))" \
    '{ ($name + "linked"): $linked, ($name + "painted"): $painted, ($name + "connected"): $connected }'
}

# bench_warm ROUND: one instance from the warm pool.
bench_warm() {
  wait_for "$BENCH_PATIENCE" pool_ready ||
    die "the warm pool stays empty: $(api GET /api/admin/capacity | jq -c .warmPool)" "Set CLAWDEPLOY_WARM_POOL to 1."
  bench_create_one "$1" warm 2048
}

# bench_ours ROUND: one instance that boots.
bench_ours() {
  # The pool is not to boot another one meanwhile.
  wait_for "$BENCH_PATIENCE" pool_ready || true
  bench_create_one "$1" clawdeploy "$BENCH_COLD_MEMORY_MB"
}

# bench_create_one ROUND SIDE MEMORY_MB: one instance through the API; prints a JSON object with milliseconds.
bench_create_one() {
  local answer job port='' begin ready shown again
  begin=$(now_ms)
  answer=$(api POST /api/instances --header 'Content-Type: application/json' \
    --data "{\"name\":\"bench $2 $1\",\"memoryMb\":$3}")
  BENCH_INSTANCE=$(jq -r '.instance.id' <<<"$answer")
  job=$(jq -r '.job.id' <<<"$answer")
  until [[ $port =~ ^[0-9]+$ ]]; do
    port=$(api GET "/api/instances/$BENCH_INSTANCE" | jq -r '(.instance? // .).port')
    (($(now_ms) - begin < BENCH_PATIENCE * 1000)) || die "instance $BENCH_INSTANCE got no port."
  done
  instance_answers "$port" || die "instance $BENCH_INSTANCE does not answer." "See the job: GET /api/jobs/$job"
  ready=$(now_ms)
  shown=$(bench_dashboard "$begin" '')
  # The job ends a moment after the gateway's first answer. Only then are its events complete.
  job_wait "$job" "$BENCH_PATIENCE" 2>/dev/null
  again=$(bench_dashboard "$(now_ms)" 'again_')
  bench_story "$job" | jq -c --arg side "$2" --argjson ready "$((ready - begin))" --argjson shown "$shown" --argjson again "$again" \
    '. + { side: $side, ready: $ready } + $shown + $again'
  answer=$(api DELETE "/api/instances/$BENCH_INSTANCE")
  job_wait "$(jq -r '.job.id' <<<"$answer")" "$BENCH_PATIENCE" 2>/dev/null
  BENCH_INSTANCE=''
}

# bench_story JOB: how long the job took until its container was started, and what each step took, from its events.
bench_story() {
  # The stream of a finished job ends by itself, or at curl's time limit.
  api GET "/api/jobs/$1/events" --header 'Accept: text/event-stream' --no-buffer 2>/dev/null | sed -n 's/^data: *//p' |
    jq -cs '
      def ms: (sub("\\.[0-9]+"; "") | sub("\\+00:00$"; "Z") | fromdateiso8601 * 1000)
        + ((capture("\\.(?<f>[0-9]{1,3})") // {f: "0"}).f | (. + "00")[0:3] | tonumber);
      (map(select(.kind == "accepted")) | first) as $accepted
      | (map(select(.kind == "step_done" and .step == "start_container")) | first) as $started
      | (map(select(.kind == "step_done") | { key: .step, value: .durationMs }) | from_entries) as $steps
      | (if $accepted and $started then ($started.createdAt | ms) - ($accepted.createdAt | ms) else null end) as $total
      | { accepted_to_started: $total, steps: $steps,
          own: (if $total then $total - ([$steps["create_network", "create_container", "start_container"] // 0] | add)
            else null end) }'
}

# bench_plain ROUND: the same image with `docker run`; prints a JSON object with milliseconds. Without the compile cache, which
# is ours and not OpenClaw's: an empty variable switches it off.
bench_plain() {
  local port begin started ready image
  image=${CLAWDEPLOY_IMAGE:-openclaw:local}
  port=$(free_port "$BENCH_FIRST_PORT")
  BENCH_DIR=$(mktemp -d -- "$STATE/bench.XXXXXX")
  BENCH_CONTAINER=clawdeploy-bench-plain
  install -d -o 1000 -g 1000 -m 0700 "$BENCH_DIR"/{config,workspace}
  jq -n --arg token "$(random_hex 32)" --arg origin "http://127.0.0.1:$port" '{
      agents: { defaults: { workspace: "/home/node/workspace" } },
      gateway: { mode: "local", port: 18789, bind: "lan", auth: { mode: "token", token: $token },
        tailscale: { mode: "off" }, controlUi: { allowedOrigins: [$origin] } },
      update: { checkOnStart: false } }' >"$BENCH_DIR/config/openclaw.json"
  chown 1000:1000 "$BENCH_DIR/config/openclaw.json"
  chmod 0600 "$BENCH_DIR/config/openclaw.json"

  begin=$(now_ms)
  docker run --detach --name "$BENCH_CONTAINER" "${BENCH_LIMITS[@]}" --publish "127.0.0.1:$port:18789" \
    --volume "$BENCH_DIR/config:/home/node/.openclaw" --volume "$BENCH_DIR/workspace:/home/node/workspace" \
    --env NODE_COMPILE_CACHE= "$image" >/dev/null
  started=$(now_ms)
  answers "$port" || die "the plain container does not answer." "docker logs $BENCH_CONTAINER"
  ready=$(now_ms)
  jq -nc --argjson ready "$((ready - begin))" --argjson started "$((started - begin))" \
    '{ side: "plain", ready: $ready, accepted_to_started: $started }'
  docker rm --force --volumes "$BENCH_CONTAINER" >/dev/null
  rm -rf --one-file-system -- "$BENCH_DIR"
  BENCH_CONTAINER='' BENCH_DIR=''
}

# bench_create ROUNDS JSON_FILE
bench_create() {
  local round side sides
  BENCH_RESULTS=$(mktemp)
  trap 'bench_cleanup; rm -f -- "$BENCH_RESULTS"' EXIT
  browser_ensure
  coproc BENCH_BROWSER { exec node "$ROOT/scripts/bench-create/dashboard.mjs"; }
  read -r -t 60 <&"${BENCH_BROWSER[0]}" || die "Chromium does not start."
  for ((round = 1; round <= $1; round++)); do
    # The second side finds warmer caches: take turns.
    if ((round % 2)); then sides='warm ours plain'; else sides='plain ours warm'; fi
    for side in $sides; do
      say "round $round of $1: $side"
      # Not in $(...): this shell must know what to clean up.
      "bench_$side" "$round" >>"$BENCH_RESULTS"
    done
  done
  bench_create_table "$BENCH_RESULTS"
  if [[ -n $2 ]]; then jq -s . "$BENCH_RESULTS" >"$2"; fi
}

# bench_create_table RESULTS
bench_create_table() {
  jq -rs '
    def median: sort | if length == 0 then null elif length % 2 == 1 then .[length / 2 | floor]
      else (.[length / 2 - 1] + .[length / 2]) / 2 end;
    def column($side; $key): map(select(.side == $side)[$key] | values);
    def cell: if . == null then "-" else tostring end | (" " * ([10 - length, 0] | max)) + .;
    def row($name; $key): column("warm"; $key) as $w | column("clawdeploy"; $key) as $o | column("plain"; $key) as $p
      | ($w | median) as $wm | ($o | median) as $om | ($p | median) as $pm
      | ($name + (" " * 33))[0:33] + ($wm | cell) + ($om | cell) + ($pm | cell)
        + "   " + ([$w, $o, $p] | map(map(tostring) | join(" ")) | join(" / "));
    (["", "(medians, ms)                          warm    booted     plain   all"]
      + [row("create -> dashboard answers"; "ready"), row("create -> link to the dashboard"; "linked"),
          row("create -> painted in Chromium"; "painted"), row("create -> connected"; "connected"),
          row("running: link to the dashboard"; "again_linked"), row("running: painted in Chromium"; "again_painted"),
          row("running: connected"; "again_connected"), row("accepted -> container started"; "accepted_to_started"),
         row("  of it not in Docker'"'"'s steps"; "own")]
      + ["", "Steps of the job (medians, ms)          warm    booted"]
      + (. as $all | map(.steps // empty) | (map(keys_unsorted) | add // [] | reduce .[] as $k ([]; if index([$k]) then . else . + [$k] end))
          | map(. as $n | "  " + ($n + (" " * 31))[0:31]
            + (["warm", "clawdeploy"] | map(. as $side | $all | map(select(.side == $side).steps[$n] | values) | median | cell) | add))))
    | .[]' "$1"
}
