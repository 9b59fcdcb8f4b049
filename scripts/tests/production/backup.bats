#!/usr/bin/env bats
# backup and restore with a real Postgres and the real schema: everything is restored, or nothing is changed.

bats_require_minimum_version 1.5.0

ID=l82461og577v

setup_file() {
  [[ $EUID -eq 0 ]] || skip "needs root"
  export STATE=$BATS_FILE_TMPDIR/state
  libraries
  packages_ensure postgresql zstd
  postgres_start "$STATE/env" fsync=off
}

teardown_file() {
  libraries
  postgres_stop
  services_home_remove
}

libraries() {
  if declare -F postgres_start >/dev/null; then return; fi
  source "$BATS_TEST_DIRNAME/../../lib/common.sh"
  source "$BATS_TEST_DIRNAME/../../lib/packages.sh"
  source "$BATS_TEST_DIRNAME/../../lib/services.sh"
}

# An installation with settings, a key, an account, and instance files of all kinds.
setup() {
  libraries
  HERE=$BATS_TEST_TMPDIR
  DATABASE=t$BATS_TEST_NUMBER
  postgres_database "$STATE/env" "$DATABASE"
  export CLAWDEPLOY_DATABASE_URL
  CLAWDEPLOY_DATABASE_URL=$(postgres_url "$STATE/env" "$DATABASE")
  SETTINGS=$HERE/etc/worker.env KEY=$HERE/etc/worker.key DATA=$HERE/data
  env_put "$SETTINGS" CLAWDEPLOY_DATABASE_URL "$CLAWDEPLOY_DATABASE_URL"
  env_put "$SETTINGS" CLAWDEPLOY_KEY_FILE "$KEY"
  env_put "$SETTINGS" CLAWDEPLOY_DATA_DIR "$DATA"
  # A deployment that does not exist, so that containers on this machine do not matter.
  env_put "$SETTINGS" CLAWDEPLOY_DEPLOYMENT "backup-test-$$"
  (umask 077 && head -c 32 /dev/urandom | base64 >"$KEY" && cp "$KEY" "$HERE/etc/api.key")
  "${CLAWDEPLOY_TEST_BINARIES:-$ROOT/target/debug}/clawdeploy-api" user create --email a@example.test --password-stdin \
    <<<'correct horse battery'
  install -d -m 0711 "$DATA"
  install -d -m 0700 "$DATA/$ID" "$DATA/.snapshots" "$DATA/.trash/gone"
  install -d -o 1000 -g 1000 -m 0700 "$DATA/$ID/config" "$DATA/$ID/workspace"
  head -c 300000 /dev/urandom >"$DATA/$ID/config/state.sqlite"
  truncate -s 50M "$DATA/$ID/workspace/holes"
  ln -s /etc/shadow "$DATA/$ID/workspace/link"
  mkfifo "$DATA/$ID/workspace/pipe"
  printf 'x' >"$DATA/$ID/workspace/--checkpoint-action=exec=false"
  chown -hR 1000:1000 "$DATA/$ID/config" "$DATA/$ID/workspace"
  chmod 4751 "$DATA/$ID/config/state.sqlite"
}

query() { psql --no-psqlrc -qtAXd "$CLAWDEPLOY_DATABASE_URL" -c "$1"; }

# rows: all rows, except for those that a restore itself adds for the directories that it finds.
rows() { pg_dump --no-owner --data-only --inserts --exclude-table-data recoverable_instances "$CLAWDEPLOY_DATABASE_URL" | grep -v '^\\\(un\)\?restrict'; }

tree() { (cd "$DATA" && find . -path ./.trash -prune -o -path ./.quarantine -prune -o -path './.before*' -prune -o -printf '%P %u %g %m %y %l %s\n' | sort &&
  sha256sum "$ID/config/state.sqlite" "$ID/workspace/holes"); }

backup() {
  run --separate-stderr "$BATS_TEST_DIRNAME/../../backup" --to "$HERE/backups" --settings "$SETTINGS" "$@"
  MADE=$output
}

restore() { run "$BATS_TEST_DIRNAME/../../restore" "$MADE" --settings "$SETTINGS" "$@"; }

# wipe: deletes everything, as on a new machine after deploy/install.sh.
wipe() {
  rm -rf "$DATA" "$KEY" "$HERE/etc/api.key"
  query 'DROP SCHEMA public CASCADE; CREATE SCHEMA public' 2>/dev/null
}

@test "what was backed up comes back: every row, every file, the key" {
  before_rows=$(rows) before_tree=$(tree) before_key=$(cat "$KEY")
  backup
  [[ $status -eq 0 ]] || { echo "$stderr"; false; }
  wipe
  restore
  [[ $status -eq 0 ]] || { echo "$output"; false; }
  [[ $(rows) == "$before_rows" ]]
  diff <(tree) <(printf '%s\n' "$before_tree")
  [[ $(cat "$KEY") == "$before_key" && $(stat -c %a "$KEY") == 600 ]]
  [[ $(du -k "$DATA/$ID/workspace/holes" | cut -f 1) -lt 1000 ]]
  # The API accepts the restored database.
  run "${CLAWDEPLOY_TEST_BINARIES:-$ROOT/target/debug}/clawdeploy-api" user create --email a@example.test --password-stdin \
    <<<'correct horse battery'
  [[ $output == *"already exists"* ]]
}

@test "the identity comes back with the database, and the engine is bound anew" {
  local -r dir=00000000-0000-4000-8000-000000000002
  query "INSERT INTO installation (id, data_dir, engine) VALUES ('00000000-0000-4000-8000-000000000001', '$dir', 'old')"
  (umask 077 && printf '{"dataDir":"%s"}' "$dir" >"$DATA/.identity")
  backup
  wipe
  restore
  [[ $status -eq 0 ]] || { echo "$output"; false; }
  [[ $(cat "$DATA/.identity") == "{\"dataDir\":\"$dir\"}" && $(stat -c %a "$DATA/.identity") == 600 ]]
  [[ $(query 'SELECT data_dir, engine IS NULL FROM installation') == "$dir|t" ]]
  # Without it, the directory is bound at the first start.
  rm "$DATA/.identity"
  sleep 1
  backup
  wipe
  restore
  [[ $status -eq 0 && ! -e $DATA/.identity ]]
  [[ $(query 'SELECT data_dir IS NULL, engine IS NULL FROM installation') == "t|t" ]]
}

@test "warm instances are not restored: somebody may have them by now" {
  local -r warm=warm12345678
  query "INSERT INTO instances (id, name, desired_state, status, gateway_token_sealed, memory_mb, cpu_millis)
    VALUES ('$warm', 'warm', 'running', 'pending', 's', 2048, 1000);
    INSERT INTO warm_instances (instance_id, warmed_by, ready_at) VALUES ('$warm', gen_random_uuid(), now());
    INSERT INTO jobs (id, kind, queue, instance_id) VALUES (gen_random_uuid(), 'warm_up', 'warm', '$warm'), (gen_random_uuid(), 'noop', 'lifecycle', NULL)"
  install -d -m 0700 "$DATA/$warm"
  backup
  [[ $status -eq 0 ]] || { echo "$stderr"; false; }
  [[ ! -e $MADE/instances/$warm.tar.zst && -e $MADE/instances/$ID.tar.zst ]]
  wipe
  restore
  [[ $status -eq 0 ]] || { echo "$output"; false; }
  [[ ! -e $DATA/$warm && $(query 'SELECT count(*) FROM instances') == 0 && $(query 'SELECT kind FROM jobs') == noop ]]
}

@test "a backup is for root alone, and half a one does not stay" {
  backup
  [[ -z $(find "$HERE/backups" -perm /077) ]]
  [[ ! -e $MADE/instances/.trash.tar.zst ]]
  mv "$KEY" "$KEY.away"
  backup
  [[ $status -ne 0 && $(find "$HERE/backups" -mindepth 1 -maxdepth 1 | wc -l) == 1 ]]
}

@test "the key can be left out, and is then wanted before anything is restored" {
  backup --without-key
  [[ ! -e $MADE/key ]]
  cp "$KEY" "$HERE/kept"
  wipe
  restore
  [[ $status -eq 1 && $output == *"key that you keep elsewhere"* && ! -e $DATA ]]
  install -m 0600 "$HERE/kept" "$KEY"
  restore
  [[ $status -eq 0 ]]
}

@test "a living installation is not overwritten, unless it is meant; then its files are kept aside" {
  backup
  restore
  [[ $status -eq 1 && $output == *"already has accounts"*"--force"* ]]
  query "UPDATE users SET name = 'since'"
  echo new >"$DATA/$ID/config/since"
  restore --force
  [[ $status -eq 0 ]]
  [[ $(query 'SELECT name FROM users') != since && ! -e $DATA/$ID/config/since ]]
  [[ $(cat "$DATA"/.before-restore-*/"$ID"/config/since) == new ]]
}

@test "what is newer than the backup stays where it is, is named, and is adopted when asked" {
  backup
  newer=n12345678901
  install -d -m 0700 "$DATA/$newer" "$DATA/.snapshots/$newer/kept" "$DATA/.quarantine/q12345678901/files"
  install -d -o 1000 -g 1000 -m 0700 "$DATA/$newer/config" "$DATA/$newer/workspace"
  echo mine >"$DATA/$newer/workspace/note"
  echo '{"gateway":{"auth":{"token":"from the file"}}}' >"$DATA/$newer/config/openclaw.json"
  settings='{"memoryMb":1536,"cpuMillis":500,"channel":"none","botTokenSealed":null,"aiProvider":"none","apiKeySealed":null}'
  printf '{"version":1,"id":"%s","name":"made since","ownerId":"%s","ownerEmail":"a@example.test","gatewayTokenSealed":"x","settings":%s}' \
    "$newer" "$(query 'SELECT id FROM users')" "$settings" >"$DATA/$newer/instance.json"
  export CLAWDEPLOY_BINARIES=${CLAWDEPLOY_TEST_BINARIES:-$ROOT/target/debug}
  restore --force
  [[ $status -eq 0 ]] || { echo "$output"; false; }
  [[ $output == *"newer than the backup and kept: $newer, made since of a@example.test"*"recoverable adopt $newer"* ]]
  [[ $(cat "$DATA/$newer/workspace/note") == mine && -d $DATA/.snapshots/$newer/kept && -d $DATA/.quarantine/q12345678901/files ]]
  [[ $(query 'SELECT count(*) FROM instances') == 0 ]]
  restore --force --adopt
  [[ $status -eq 0 ]] || { echo "$output"; false; }
  [[ $(cat "$DATA/$newer/workspace/note") == mine ]]
  [[ $(query 'SELECT id, name, memory_mb, status FROM instances') == "$newer|made since|1536|pending" ]]
  [[ $(query "SELECT instance_id FROM jobs WHERE kind = 'restore' AND status = 'queued'") == "$newer" ]]
}

@test "containers on what is restored have to stop; one of a newer instance runs on" {
  docker version >/dev/null 2>&1 && docker image inspect openclaw:local >/dev/null 2>&1 || skip "no engine with an image here"
  backup
  newer=n${BASHPID: -6}aaaaaaaaaaa
  newer=${newer:0:12}
  for id in "$ID" "$newer"; do
    docker run --detach --rm --name "claw-$id" --label "clawdeploy.deployment=backup-test-$$" --label "clawdeploy.instance=$id" \
      openclaw:local sleep 600 >/dev/null
  done
  install -d -m 0700 "$DATA/$newer"
  restore --force
  refused=$output refusal=$status
  docker rm --force "claw-$ID" >/dev/null
  restore --force
  docker rm --force "claw-$newer" >/dev/null
  [[ $refusal -eq 1 && $refused == *"docker stop claw-$ID"* && $refused != *"$newer"* ]] || { echo "$refused"; false; }
  [[ $status -eq 0 && -d $DATA/$newer && $output != *"drop cascades"* ]] || { echo "$output"; false; }
}

@test "nothing is backed up or restored while a worker is at work" {
  backup
  query "INSERT INTO workers (id, host, pid, version, queues, concurrency) VALUES ('w', 'h', 1, 'v', '{}', 1)"
  query "UPDATE workers SET heartbeat_at = now() + interval '1 minute'"
  restore --force
  [[ $status -eq 1 && $output == *"worker is still running"* ]]
  made=$MADE
  backup
  [[ $status -eq 1 && $stderr == *"worker is still running"* && -d $made ]]
}

@test "a damaged backup changes nothing" {
  backup
  before=$(rows)
  printf 'x' >>"$MADE/database.dump"
  restore --force
  [[ $status -eq 1 && $output == *"damaged; nothing was changed"* ]]
  [[ $(rows) == "$before" ]]
}

@test "a running gateway is frozen while its files are read, and goes on afterwards" {
  docker version >/dev/null 2>&1 && docker image inspect openclaw:local >/dev/null 2>&1 || skip "no engine with an image here"
  container=$(docker run --detach --rm --name "claw-$ID" --label "clawdeploy.deployment=backup-test-$$" \
    --volume "$DATA/$ID/workspace:/w" --user 1000 openclaw:local sh -c 'while :; do date +%s%N >>/w/beat; sleep 0.02; done')
  begun=$(date +%s.%N)
  backup
  docker events --since "$begun" --until "$(date +%s.%N)" --filter "container=$container" --format '{{.Action}}' >"$HERE/events"
  [[ $(docker inspect --format '{{.State.Paused}}' "$container") == false ]]
  docker rm --force "$container" >/dev/null
  [[ $status -eq 0 ]] || { echo "$stderr"; false; }
  [[ $(grep -c . "$HERE/events") -ge 2 && $(head -n 2 "$HERE/events" | tr '\n' ' ') == "pause unpause " ]]
}
