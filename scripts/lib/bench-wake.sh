# shellcheck shell=bash
# scripts/bench wake. Needs common.sh, stack.sh, bench-create.sh and bench-queue.sh.
#
# One instance falls asleep and wakes, over and over: "frozen" as it sleeps at first, "stopped" as it sleeps later. The clock
# runs from the HTTP request that wakes it until its gateway answers on its port. Then its owner asks for a link to the
# dashboard ("link"), and the same is asked of OpenClaw's command line in its container ("command").
#
# Nobody waits for minutes: the database is told that it has been idle, or frozen, for hours.

# wake_sql STATEMENT: in the stack's database.
wake_sql() { bench_sql clawdeploy "$1"; }

bench_container() { wake_sql "SELECT container_id FROM instances WHERE id = '$BENCH_INSTANCE'"; }

# bench_shows STATE: whether the engine says this of the container.
bench_shows() { [[ $(docker inspect --format '{{.State.Status}}' "$(bench_container)") == "$1" ]]; }

# bench_at_rest CONDITION: whether the instances of this condition all sleep, and no job of theirs is open.
bench_at_rest() {
  wake_sql "UPDATE instances SET status_changed_at = now() - interval '2 hours' WHERE $1 AND status = 'running'"
  wake_sql "UPDATE idle_checks SET checked_at = '-infinity', idle_since = now() - interval '1 hour'
    WHERE instance_id IN (SELECT id FROM instances WHERE $1)"
  [[ $(wake_sql "SELECT count(*) FROM instances i WHERE $1 AND NOT (status = 'stopped' AND asleep_since IS NOT NULL
    AND NOT EXISTS (SELECT FROM jobs j WHERE j.instance_id = i.id AND j.status IN ('queued', 'running')))") == 0 ]]
}

# bench_asleep STATE: it sleeps, and its container is `paused` or `exited`.
bench_asleep() {
  local -r this="id = '$BENCH_INSTANCE'"
  wait_for "$BENCH_PATIENCE" bench_at_rest "$this" || die "instance $BENCH_INSTANCE does not fall asleep."
  if [[ $1 == exited ]]; then
    wake_sql "UPDATE idle_checks SET frozen_since = now() - interval '1 year' WHERE instance_id = '$BENCH_INSTANCE'"
    wait_for "$BENCH_PATIENCE" bench_shows exited && wait_for "$BENCH_PATIENCE" bench_at_rest "$this"
  fi
  bench_shows "$1" || die "the gateway is not $1, but $(docker inspect --format '{{.State.Status}}' "$(bench_container)")."
}

# bench_wake_one SIDE STATE: prints a JSON object with milliseconds.
bench_wake_one() {
  local answer port begin ready linked commanded
  port=$(api GET "/api/instances/$BENCH_INSTANCE" | jq -r '(.instance? // .).port')
  bench_asleep "$2"
  begin=$(now_ms)
  answer=$(api POST "/api/instances/$BENCH_INSTANCE/start")
  instance_answers "$port" || die "instance $BENCH_INSTANCE does not answer."
  ready=$(now_ms)
  job_wait "$(jq -r '.job.id' <<<"$answer")" "$BENCH_PATIENCE" 2>/dev/null
  linked=$(now_ms)
  api POST "/api/instances/$BENCH_INSTANCE/dashboard-link" >/dev/null
  linked=$(($(now_ms) - linked))
  commanded=$(now_ms)
  docker exec "$(bench_container)" openclaw dashboard --json >/dev/null
  commanded=$(($(now_ms) - commanded))
  jq -nc --arg side "$1" --argjson ready "$((ready - begin))" --argjson link "$linked" --argjson command "$commanded" \
    '{ side: $side, ready: $ready, link: $link, command: $command }'
}

# bench_wake ROUNDS JSON_FILE
bench_wake() {
  local round side answer
  BENCH_RESULTS=$(mktemp)
  trap 'bench_cleanup; rm -f -- "$BENCH_RESULTS"' EXIT
  answer=$(api POST /api/instances --header 'Content-Type: application/json' --data '{"name":"bench wake"}')
  BENCH_INSTANCE=$(jq -r '.instance.id' <<<"$answer")
  job_wait "$(jq -r '.job.id' <<<"$answer")" "$BENCH_PATIENCE" 2>/dev/null
  api PATCH "/api/instances/$BENCH_INSTANCE" --header 'Content-Type: application/json' --data '{"sleepMinutes":1}' >/dev/null
  for ((round = 1; round <= $1; round++)); do
    for side in frozen:paused stopped:exited; do
      say "round $round of $1: ${side%:*}"
      bench_wake_one "${side%:*}" "${side#*:}" >>"$BENCH_RESULTS"
    done
  done
  bench_wake_table "$BENCH_RESULTS"
  if [[ -n $2 ]]; then jq -s . "$BENCH_RESULTS" >"$2"; fi
}

# bench_wake_table RESULTS
bench_wake_table() {
  jq -rs '
    def median: sort | if length % 2 == 1 then .[length / 2 | floor] else (.[length / 2 - 1] + .[length / 2]) / 2 end;
    def row($name; $values): ($name + (" " * 40))[0:40] + (($values | median | floor | tostring) as $m | (" " * (8 - ($m | length))) + $m)
      + "   " + ($values | map(tostring) | join(" "));
    ["", "(ms)                                      median   all",
     row("frozen: request -> gateway answers"; map(select(.side == "frozen").ready)),
     row("stopped: request -> gateway answers"; map(select(.side == "stopped").ready)),
     row("link to the dashboard"; map(.link)),
     row("the same by openclaw dashboard"; map(.command))] | .[]' "$1"
}
