# shellcheck shell=bash
# scripts/bench routes. Needs common.sh, packages.sh, services.sh, nginx.sh, stack.sh and bench-queue.sh.
#
# Measures reading, rendering, testing and reloading, with ten thousand running instances as rows of a separate database
# and a separate nginx on free ports. "reload until all have it" includes the time for which the worker keeps asking until
# it is sure that no old process answers any more.

readonly BENCH_ROUTES=${BENCH_ROUTES:-10000}

bench_routes() {
  local https probe nginx
  BENCH_DIR=$(mktemp -d -- "$STATE/bench.XXXXXX")
  trap 'bench_queue_cleanup; rm -rf --one-file-system -- "$BENCH_DIR"' EXIT
  chmod 0711 "$BENCH_DIR"
  cargo_ensure
  say "compiling"
  as_developer cargo bench --quiet --locked --package clawdeploy-worker --bench routes --no-run
  bench_queue_fresh
  (bench_program api migrate) 2>/dev/null
  bench_sql "$BENCH_QUEUE_DATABASE" "
    INSERT INTO users (id, email, name, password_hash, role) VALUES (gen_random_uuid(), 'a@example.test', 'A', '', 'user');
    INSERT INTO instances (id, owner_id, name, desired_state, status, gateway_token_sealed, memory_mb, cpu_millis)
      SELECT 'a' || lpad(n::text, 11, '0'), (SELECT id FROM users), 'number ' || n, 'running', 'running', '', 2048, 1000
      FROM generate_series(1, $BENCH_ROUTES) n;
    INSERT INTO ports (port, instance_id) SELECT 9999 + n, 'a' || lpad(n::text, 11, '0') FROM generate_series(1, $BENCH_ROUTES) n;
    ANALYZE" >/dev/null
  nginx=$(nginx_program)
  https=$(free_port 29700) probe=$(free_port 29750)
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=bench -keyout "$BENCH_DIR/key.pem" \
    -out "$BENCH_DIR/certificate.pem" 2>/dev/null
  "$ROOT/deploy/nginx/render.sh" --empty-map >"$BENCH_DIR/map.conf"
  "$ROOT/deploy/nginx/render.sh" --standalone "$BENCH_DIR" --base-domain claws.test --site panel.test --user root \
    --certificate "$BENCH_DIR/certificate.pem" --key "$BENCH_DIR/key.pem" --map "$BENCH_DIR/map.conf" \
    --probe "127.0.0.1:$probe" --https-port "$https" --http-port 0 --listen 127.0.0.1 >"$BENCH_DIR/nginx.conf"
  "$nginx" -e stderr -c "$BENCH_DIR/nginx.conf" 2>"$BENCH_DIR/error.log" &
  BENCH_PIDS+=($!)
  wait_for 10 curl --silent --fail --noproxy '*' "http://127.0.0.1:$probe/__clawdeploy/generation" ||
    die "nginx does not start." "$(tail -n 3 "$BENCH_DIR/error.log")"
  say "ten rounds"
  CLAWDEPLOY_DATABASE_URL=$(postgres_url "$ENV_FILE" "$BENCH_QUEUE_DATABASE") as_developer \
    cargo bench --quiet --locked --package clawdeploy-worker --bench routes -- --map "$BENCH_DIR/map.conf" --nginx "$nginx" \
    --probe "127.0.0.1:$probe" --reload "$nginx -e stderr -c $BENCH_DIR/nginx.conf -s reload"
}
