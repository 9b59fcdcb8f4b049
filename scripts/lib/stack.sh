# shellcheck shell=bash
# ClawDeploy itself on this machine, as scripts/up runs it: settings, programs, admin, image. Needs common.sh, docker.sh,
# base-image.sh, services.sh, nginx.sh and web.sh.

# Settings and credentials of this stack; meant to be sourced (`set -a; . .clawdeploy/env`).
readonly ENV_FILE=$STATE/env
readonly KEY_FILE=$STATE/key
# The API faces the network: it runs without root, without Docker and without an account, under a number from the range
# that systemd uses for the same purpose.
readonly API_UID=61377
readonly API_FIRST_PORT=8080

api_url() { env_get "$ENV_FILE" CLAWDEPLOY_URL; }

deployment() { env_get "$ENV_FILE" CLAWDEPLOY_DEPLOYMENT; }

# --- settings ---------------------------------------------------------------------------------------------------------

# settings_ensure: writes all settings of the programs to ENV_FILE. Secrets are created once.
settings_ensure() {
  if [[ ! -s $KEY_FILE ]]; then
    (umask 077 && head -c 32 /dev/urandom | base64 >"$KEY_FILE")
    if env_get "$ENV_FILE" CLAWDEPLOY_KEY_FILE >/dev/null; then warn "created a new $KEY_FILE: secrets sealed with another key cannot be read"; fi
  fi
  # Distinguishes this stack's containers from those of another stack on the same engine.
  env_keep "$ENV_FILE" CLAWDEPLOY_DEPLOYMENT local_name >/dev/null
  env_keep "$ENV_FILE" CLAWDEPLOY_ADMIN_EMAIL printf '%s\n' "${CLAWDEPLOY_ADMIN_EMAIL:-admin@clawdeploy.local}" >/dev/null
  env_keep "$ENV_FILE" CLAWDEPLOY_ADMIN_PASSWORD random_hex 12 >/dev/null
  env_put "$ENV_FILE" CLAWDEPLOY_KEY_FILE "$KEY_FILE"
  env_put "$ENV_FILE" CLAWDEPLOY_DATA_DIR "$STATE/data"
  env_put "$ENV_FILE" CLAWDEPLOY_DOCKER_HOST "$DOCKER_HOST"
  env_put "$ENV_FILE" CLAWDEPLOY_DATABASE_URL "$(postgres_url "$ENV_FILE" clawdeploy)"
  env_put "$ENV_FILE" CLAWDEPLOY_REDIS_URL "$(redis_url "$ENV_FILE" 0)"
  env_put "$ENV_FILE" CLAWDEPLOY_OPENCLAW_BASE_IMAGE "$BASE_IMAGE"
  # The default, a repository's own Dockerfile, takes ten minutes and 6 GiB.
  env_put "$ENV_FILE" CLAWDEPLOY_IMAGE_SOURCE "${CLAWDEPLOY_IMAGE_SOURCE:-release}"
  if ! running api; then settings_listen; fi
  nginx_settings "$ENV_FILE"
  env_put "$ENV_FILE" CLAWDEPLOY_TRUSTED_PROXIES "${CLAWDEPLOY_TRUSTED_PROXIES:-127.0.0.1}"
}

local_name() { printf 'local-%s\n' "$(random_hex 3)"; }

# settings_listen: where the API listens: where CLAWDEPLOY_LISTEN says, or a free port on 127.0.0.1.
settings_listen() {
  local listen
  if [[ -n ${CLAWDEPLOY_LISTEN:-} ]]; then
    listen=$CLAWDEPLOY_LISTEN
    [[ $listen =~ :[0-9]+$ ]] || die "CLAWDEPLOY_LISTEN is '$listen'; it must look like 127.0.0.1:8080."
    if port_taken "${listen##*:}"; then
      die "port ${listen##*:} is taken; the API cannot listen on $listen." \
        "See which program uses it: ss -ltnp 'sport = :${listen##*:}'. Or set another one with CLAWDEPLOY_LISTEN."
    fi
  else
    listen=127.0.0.1:$(own_port "$ENV_FILE" API_PORT "$API_FIRST_PORT")
  fi
  env_put "$ENV_FILE" CLAWDEPLOY_LISTEN "$listen"
  env_put "$ENV_FILE" CLAWDEPLOY_URL "http://127.0.0.1:${listen##*:}"
  env_put "$ENV_FILE" CLAWDEPLOY_PUBLIC_URL "${CLAWDEPLOY_PUBLIC_URL:-http://127.0.0.1:${listen##*:}}"
}

# settings_for NAME: the environment of api or worker-N, one KEY=VALUE per line: the caller's settings, then those of the file.
# Neither program sees the administrator's credentials, and the API sees nothing about Docker or the disk.
settings_for() {
  local key value
  local -A settings=([PATH]=/usr/sbin:/usr/bin:/sbin:/bin [RUST_LOG]=${RUST_LOG:-info,apalis_core=warn})
  for key in $(compgen -e | grep '^CLAWDEPLOY_' || true); do settings[$key]=${!key}; done
  while IFS='=' read -r key value; do
    value=${value#\'}
    settings[$key]=${value%\'}
  done < <(grep '^CLAWDEPLOY_' "$ENV_FILE")
  unset 'settings[CLAWDEPLOY_ADMIN_EMAIL]' 'settings[CLAWDEPLOY_ADMIN_PASSWORD]' 'settings[CLAWDEPLOY_TOKEN]'
  if [[ $1 == api ]]; then
    unset 'settings[CLAWDEPLOY_DOCKER_HOST]' 'settings[CLAWDEPLOY_DATA_DIR]'
    settings[CLAWDEPLOY_KEY_FILE]=$(services_home)/api/key
  fi
  # Each process needs its own address: the API gets the one in the setting, worker N the Nth port after it.
  local -r metrics=${settings[CLAWDEPLOY_METRICS_LISTEN]:-}
  if [[ -n $metrics && $1 == worker-* ]]; then
    settings[CLAWDEPLOY_METRICS_LISTEN]=${metrics%:*}:$((${metrics##*:} + ${1#worker-}))
  fi
  for key in "${!settings[@]}"; do printf '%s=%s\n' "$key" "${settings[$key]}"; done | sort
}

# --- programs ---------------------------------------------------------------------------------------------------------

# Compiles in minutes, and the tests use the same build: fast enough for a few users. Production uses release.
readonly BUILD_PROFILE=${CLAWDEPLOY_BUILD_PROFILE:-dev}

# programs_home: cargo's output directory for the profile.
programs_home() {
  case $BUILD_PROFILE in
    dev) printf '%s\n' "$ROOT/target/debug" ;;
    *) printf '%s\n' "$ROOT/target/$BUILD_PROFILE" ;;
  esac
}

# programs_build: builds both programs as the calling user. Cargo shows the progress.
programs_build() {
  cargo_ensure
  say "building ClawDeploy (some minutes the first time)"
  as_developer cargo build --manifest-path "$ROOT/Cargo.toml" --profile "$BUILD_PROFILE" --locked \
    -p clawdeploy-api -p clawdeploy-worker || die "the build failed; the compiler's messages are above."
}

# programs_install: copies the programs to where the services run, so that a build does not replace a running program.
programs_install() {
  local name home built
  home=$(services_home)
  built=$(programs_home)
  install -d -m 0755 "$home/bin"
  for name in api worker; do
    [[ -x $built/clawdeploy-$name ]] ||
      die "there is no ${built#"$ROOT/"}/clawdeploy-$name." "Run scripts/up without --skip-build."
    if ! cmp -s "$built/clawdeploy-$name" "$home/bin/clawdeploy-$name"; then
      install -m 0755 "$built/clawdeploy-$name" "$home/bin/clawdeploy-$name.new"
      mv -f -- "$home/bin/clawdeploy-$name.new" "$home/bin/clawdeploy-$name"
    fi
  done
  install -d -o "$API_UID" -g "$API_UID" -m 0700 "$home/api"
  install -o "$API_UID" -g "$API_UID" -m 0600 "$KEY_FILE" "$home/api/key"
}

# with_settings NAME COMMAND...: runs it with that program's settings as its only environment.
with_settings() (
  local key
  local -a settings=()
  mapfile -t settings < <(settings_for "$1")
  shift
  # Not through `env NAME=VALUE`: every user can read a process's arguments, but not its environment.
  for key in $(compgen -e); do export -n "${key?}"; done
  for key in "${settings[@]}"; do export "${key?}"; done
  "$@"
)

# api_command: sets COMMAND to the command that runs the API's program without privileges.
api_command() {
  COMMAND=(setpriv "--reuid=$API_UID" "--regid=$API_UID" --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all
    "$(services_home)/bin/clawdeploy-api")
}

# as_api ARGUMENTS...: runs the API's program in the foreground.
as_api() {
  local -a COMMAND=()
  api_command
  with_settings api "${COMMAND[@]}" "$@"
}

# program_start NAME COMMAND...: starts it unless it already runs with the same program and settings.
program_start() {
  local -r name=$1 program=${1%%-*} mark=$STATE/run/$1.mark
  shift
  local now
  now=$({
    settings_for "$name"
    sha256sum "$(services_home)/bin/clawdeploy-$program"
    printf '%s\n' "$@"
  } | sha256sum)
  if running "$name"; then
    if [[ $(cat "$mark" 2>/dev/null) == "$now" ]]; then return; fi
    say "restarting $name: its program or its settings changed"
    pid_stop "$STATE/run/$name.pid" 40
  fi
  with_settings "$name" spawn "$name" "$@"
  printf '%s\n' "$now" >"$mark"
}

api_start() {
  local -a COMMAND=()
  api_command
  program_start api "${COMMAND[@]}" serve
}

# workers_start COUNT: makes exactly COUNT workers run.
workers_start() {
  local number file name
  for file in "$STATE"/run/worker-*.pid; do
    name=$(basename -- "$file" .pid)
    if [[ -f $file ]] && ((${name#worker-} > $1)); then pid_stop "$file" 40; fi
  done
  install -d -m 0711 "$STATE/data"
  for ((number = 1; number <= $1; number++)); do
    program_start "worker-$number" "$(services_home)/bin/clawdeploy-worker" run
  done
}

# programs_stop: stops workers first, all at once: each hands back its jobs within its grace period.
programs_stop() {
  local file
  local -a stopping=()
  for file in "$STATE"/run/worker-*.pid; do
    if [[ -f $file ]]; then
      pid_stop "$file" 40 &
      stopping+=($!)
    fi
  done
  if ((${#stopping[@]})); then wait "${stopping[@]}" || true; fi
  pid_stop "$STATE/run/api.pid" 30
  pid_stop "$STATE/run/firewall.pid" 10
}

# firewall VERB: runs deploy/firewall.sh for this stack's instances.
firewall() (
  export CLAWDEPLOY_DEPLOYMENT
  CLAWDEPLOY_DEPLOYMENT=$(deployment)
  exec bash "$ROOT/deploy/firewall.sh" "$1"
)

# firewall_ensure: applies the rules now, and again whenever something removes them.
firewall_ensure() {
  if ! firewall check 2>/dev/null; then
    firewall apply || warn "instances can reach this machine: deploy/firewall.sh could not apply its rules"
  fi
  # Restart it with the current settings and script.
  pid_stop "$STATE/run/firewall.pid" 10
  if [[ ${CLAWDEPLOY_FIREWALL:-on} == off ]]; then return; fi
  CLAWDEPLOY_DEPLOYMENT=$(deployment) spawn firewall bash "$ROOT/deploy/firewall.sh" watch
}

# --- the API, as a client ---------------------------------------------------------------------------------------------

# api METHOD PATH [CURL_ARGUMENTS...]: a call with the admin's token; prints the answer's body. Fails for a status that is
# not 2xx, with the body on standard error.
api() {
  local -r method=$1 path=$2
  shift 2
  local answer status
  # The token is passed through a file descriptor: every user can read a process's arguments.
  answer=$(curl --silent --show-error --max-time 30 --request "$method" --header 'Accept: application/json' \
    --header @<(printf 'Authorization: Bearer %s\n' "$(env_get "$ENV_FILE" CLAWDEPLOY_TOKEN)") \
    --write-out '\n%{http_code}' "$@" "$(api_url)$path") || return 1
  status=${answer##*$'\n'}
  answer=${answer%$'\n'*}
  if [[ $status != 2* ]]; then
    printf '%s %s: %s %s\n' "$method" "$path" "$status" "$answer" >&2
    return 1
  fi
  printf '%s\n' "$answer"
}

api_ready() { curl --silent --fail --max-time 5 --output /dev/null "$(api_url)/readyz"; }

# standby_tell: a worker whose database, data directory and engine do not belong together does nothing; its log says why.
standby_tell() {
  local standby
  wait_for 20 worker_seen || true
  standby=$(curl --silent --max-time 5 "$(api_url)/readyz" | jq -r '.workers.standby // 0') || return 0
  if [[ $standby =~ ^[0-9]+$ ]] && ((standby > 0)); then
    grep -h 'This worker stands by' "$STATE"/log/worker-*.log | tail -n 1 >&2 || true
    die "$standby worker(s) stand by: their database, data directory and Docker engine do not belong together." \
      "The line above says why and what to do; the settings are in $ENV_FILE. To start over: scripts/up --wipe."
  fi
}

worker_seen() { [[ $(curl --silent --max-time 5 "$(api_url)/readyz" | jq -r '.workers.alive > 0') == true ]]; }

# admin_ensure: makes sure that there is an administrator account and an API token.
admin_ensure() {
  local email token
  email=$(env_get "$ENV_FILE" CLAWDEPLOY_ADMIN_EMAIL)
  if api GET /api/me >/dev/null 2>&1; then return; fi
  # An existing account has the password of the settings file; only its token was lost or has expired.
  local -r log=$STATE/log/admin.log
  env_get "$ENV_FILE" CLAWDEPLOY_ADMIN_PASSWORD |
    as_api user create --email "$email" --name Admin --admin --password-stdin >"$log" 2>&1 || true
  if ! token=$(as_api token create --email "$email" --name scripts/up 2>>"$log"); then
    log_tail "$log"
    die "could not create an API token for $email."
  fi
  env_put "$ENV_FILE" CLAWDEPLOY_TOKEN "$token"
  api GET /api/me >/dev/null || die "the API refuses the token that it just created."
}

# job_wait ID SECONDS: follows a job until it ends, with a line for each step. Fails with the job's error.
job_wait() {
  local job seen='' now status
  local -r until=$((SECONDS + $2))
  while ((SECONDS < until)); do
    job=$(api GET "/api/jobs/$1") || return 1
    status=$(jq -r '.status' <<<"$job")
    now=$(jq -r '[.step // empty, (if (.progress // null) == null then empty else "\(.progress) %" end)] | join(", ")' \
      <<<"$job")
    if [[ -n $now && $now != "$seen" ]]; then
      note "$status: $now"
      seen=$now
    fi
    case $status in
      succeeded) return ;;
      failed | cancelled)
        jq -r '"job \(.id) \(.status): \(.error.message? // .error // .lastError // "no reason given")"' <<<"$job" >&2
        return 1
        ;;
    esac
    sleep 1
  done
  printf 'job %s is still %s after %s s\n' "$1" "$status" "$2" >&2
  return 1
}

# openclaw_image_ensure: makes a worker build the OpenClaw image, unless the engine has one.
openclaw_image_ensure() {
  local image answer
  image=${CLAWDEPLOY_IMAGE:-openclaw:local}
  if image_exists "$image"; then return; fi
  say "a worker is building $image (a minute or two)"
  answer=$(api POST /api/admin/image/rebuild) || die "the API refused to build the image."
  if ! job_wait "$(jq -r '.job.id? // .job' <<<"$answer")" 1800; then
    log_tail "$STATE/log/worker-1.log"
    die "building the OpenClaw image failed." "Try again: scripts/up" \
      "To see the whole output: scripts/build-openclaw-image.sh --source ${CLAWDEPLOY_IMAGE_SOURCE:-release}"
  fi
}
