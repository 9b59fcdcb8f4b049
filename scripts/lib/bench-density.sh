# shellcheck shell=bash
# scripts/bench density. Needs common.sh, stack.sh, bench-create.sh, bench-queue.sh and bench-wake.sh.
#
# Creates many instances, one after the other, and lets each fall asleep. When all sleep, ten of them are woken at once. What
# they take is read from the engine's control groups ("gateways"), and as the memory of the machine that is no longer
# available ("machine").

readonly BENCH_AWAKE=10
readonly BENCH_PORTION_MIB=16384

# The benchmark's instances, as a condition.
readonly BENCH_DENSE="name LIKE 'bench density %'"

# density_of COLUMN: of the benchmark's instances.
density_of() { wake_sql "SELECT $1 FROM instances WHERE $BENCH_DENSE ORDER BY created_at"; }

density_cleanup() {
  local id
  for id in $(density_of id); do api DELETE "/api/instances/$id" >/dev/null 2>&1 || true; done
}

# unavailable_mib: memory of the machine that programs cannot have.
unavailable_mib() { awk '/^MemTotal/ { total = $2 } /^MemAvailable/ { free = $2 } END { print int((total - free) / 1024) }' /proc/meminfo; }

# gateways_mib: memory of all containers of the benchmark, without caches that the kernel can drop.
gateways_mib() {
  local container file sum=0
  for container in $(density_of container_id); do
    for file in "/sys/fs/cgroup/memory/docker/$container/memory.stat" "/sys/fs/cgroup/system.slice/docker-$container.scope/memory.stat"; do
      if [[ -r $file ]]; then sum=$((sum + $(awk '$1 == "total_rss" || $1 == "anon" { print $2; exit }' "$file"))); fi
    done
  done
  printf '%s\n' "$((sum / 1024 / 1024))"
}

# density_states: how many containers of the benchmark are in each state.
density_states() {
  density_of container_id | xargs docker inspect --format '{{.State.Status}}' | sort | uniq -c |
    awk '{ printf "%s%d %s", (NR > 1 ? ", " : ""), $1, $2 } END { print "" }'
}

# density_row NAME BEFORE: one line of the table.
density_row() {
  printf '%-28s %10d %10d   %s\n' "$1" "$(gateways_mib)" "$(($(unavailable_mib) - $2))" "$(density_states)"
}

# bench_density ROUNDS JSON_FILE JOBS INSTANCES
bench_density() {
  local -r instances=$4
  local before taken n answer id begin verdict=fit ports=() took=()
  trap density_cleanup EXIT
  before=$(unavailable_mib)
  for ((n = 1; n <= instances; n++)); do
    say "instance $n of $instances"
    answer=$(api POST /api/instances --header 'Content-Type: application/json' --data "{\"name\":\"bench density $n\"}")
    id=$(jq -r '.instance.id' <<<"$answer")
    job_wait "$(jq -r '.job.id' <<<"$answer")" "$BENCH_PATIENCE" 2>/dev/null || die "instance $id does not run."
    api PATCH "/api/instances/$id" --header 'Content-Type: application/json' --data '{"sleepMinutes":1}' >/dev/null
    wait_for "$BENCH_PATIENCE" bench_at_rest "$BENCH_DENSE" || die "instance $id does not fall asleep."
  done
  printf '\n%-28s %10s %10s   %s\n' "(MiB)" gateways machine "containers"
  density_row "$instances asleep" "$before"
  for id in $(density_of id | head -n "$BENCH_AWAKE"); do ports+=("$(api GET "/api/instances/$id" | jq -r '(.instance? // .).port')"); done
  begin=$(now_ms)
  for id in $(density_of id | head -n "$BENCH_AWAKE"); do api POST "/api/instances/$id/start" >/dev/null; done
  for n in "${ports[@]}"; do
    instance_answers "$n" || die "the gateway on port $n does not answer."
    took+=("$(($(now_ms) - begin))")
  done
  density_row "$BENCH_AWAKE of them woken" "$before"
  printf '\nAll %d answered after %d ms.\n' "$BENCH_AWAKE" "${took[-1]}"
  taken=$(($(unavailable_mib) - before))
  if ((taken > BENCH_PORTION_MIB)); then verdict='do not fit'; fi
  printf '%d instances with %d awake %s in %d MiB: they take %d.\n' "$instances" "$BENCH_AWAKE" "$verdict" "$BENCH_PORTION_MIB" "$taken"
}
