#!/usr/bin/env bats
# shellcheck disable=SC1091 # the libraries are checked one by one
# The compose file with the programs, Postgres, Redis and nginx in containers: an instance starts and opens through
# nginx.

bats_require_minimum_version 1.5.0

setup_file() {
  [[ $EUID -eq 0 ]] || skip "needs root"
  libraries
  engine_answers || skip "needs a Docker engine"
  packages_ensure docker-compose openssl curl jq
  base_image_ensure
  export HERE=$BATS_FILE_TMPDIR BINARIES=${CLAWDEPLOY_TEST_BINARIES:-$ROOT/target/debug} PROJECT=clawcompose$$
  # The part of a clone that the images are built from.
  mkdir -p "$HERE/target/release" "$HERE/certificates"
  cp -a "$ROOT/deploy" "$ROOT/.dockerignore" "$HERE/"
  rm -rf "$HERE/deploy/compose/state" "$HERE/deploy/compose/.env"
  cp "$BINARIES"/clawdeploy-{api,worker} "$HERE/target/release/"
  strip "$HERE"/target/release/* || true
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=test -keyout "$HERE/certificates/privkey.pem" \
    -addext "subjectAltName=DNS:panel.test,DNS:claws.test,DNS:*.claws.test" -out "$HERE/certificates/fullchain.pem" 2>/dev/null
  for target in postgres redis; do
    docker build --quiet --target "$target" --build-arg "BASE_IMAGE=$BASE_IMAGE" --tag "clawdeploy-test/$target" \
      "$ROOT/scripts/tests/compose" >/dev/null
  done
  for target in api worker; do image "$target"; done
}

# image TARGET: builds with BuildKit, with a client that supports it itself (Debian's) or by a plugin, which may be
# missing.
image() {
  local client
  for client in docker /usr/bin/docker; do
    if DOCKER_BUILDKIT=1 "$client" build --quiet --file "$HERE/deploy/Dockerfile" --target "$1" --build-arg BINARIES=prebuilt \
      --build-arg "BASE_IMAGE=$BASE_IMAGE" --tag "clawdeploy-$1" "$HERE" >"$HERE/build.log" 2>&1; then return; fi
  done
  cat "$HERE/build.log" >&2
  return 1
}

teardown_file() {
  libraries
  compose logs --tail 30 api worker nginx || true
  compose down --volumes >/dev/null 2>&1 || true
  # The firewall service uses this machine's network, and its rules stay for the next boot.
  CLAWDEPLOY_DEPLOYMENT=$PROJECT bash "$ROOT/deploy/firewall.sh" remove
  docker ps --all --quiet --filter "label=clawdeploy.deployment=$PROJECT" | xargs -r docker rm --force >/dev/null
  docker network ls --quiet --filter "label=clawdeploy.deployment=$PROJECT" | xargs -r docker network rm >/dev/null
}

libraries() {
  source "$BATS_TEST_DIRNAME/../../lib/common.sh"
  source "$BATS_TEST_DIRNAME/../../lib/packages.sh"
  source "$BATS_TEST_DIRNAME/../../lib/docker.sh"
  source "$BATS_TEST_DIRNAME/../../lib/base-image.sh"
}

setup() { libraries; }

compose() { docker-compose --project-directory "$HERE/deploy/compose" --env-file "$HERE/deploy/compose/.env" "$@"; }

# prepare [ARGUMENT...]
prepare() {
  env COMPOSE_PROJECT_NAME="$PROJECT" CLAWDEPLOY_DEPLOYMENT="$PROJECT" CLAWDEPLOY_NGINX_CONTAINER="$PROJECT-nginx" \
    CLAWDEPLOY_BASE_DOMAIN=claws.test CLAWDEPLOY_DATA_DIR="$HERE/data" CLAWDEPLOY_SUBNET=172.30.211.0/24 \
    CLAWDEPLOY_HTTPS_PORT=29543 CLAWDEPLOY_HTTP_PORT=0 CLAWDEPLOY_API_PORT=29544 CLAWDEPLOY_PROBE_PORT=29545 \
    CLAWDEPLOY_POSTGRES_PORT=29546 CLAWDEPLOY_REDIS_PORT=29547 CLAWDEPLOY_PORT_RANGE=29600-29619 \
    CLAWDEPLOY_POSTGRES_IMAGE=clawdeploy-test/postgres CLAWDEPLOY_REDIS_IMAGE=clawdeploy-test/redis \
    CLAWDEPLOY_IMAGE_SOURCE=release CLAWDEPLOY_OPENCLAW_BASE_IMAGE="$BASE_IMAGE" \
    "$HERE/deploy/compose/prepare.sh" "$@"
}

site() { curl --silent --insecure --max-time 60 --resolve panel.test:29543:127.0.0.1 "$@"; }

@test "prepare says what is missing" {
  run -2 prepare
  [[ $output == *"--site is missing"* ]]
  run -2 prepare --site panel.test
  [[ $output == *"there is no /etc/letsencrypt/live/claws.test/fullchain.pem; scripts/setup-ssl-wildcard.sh"* ]]
  run -2 prepare --site other.test
  [[ $output == *"the site is already panel.test"* ]]
}

@test "prepare makes secrets once, for those who need them" {
  prepare --site panel.test --certificate "$HERE/certificates/fullchain.pem"
  cd "$HERE/deploy/compose"
  [[ $(stat -c '%a %u' .env state state/secret.key state/run) == $'600 0\n700 0\n600 10001\n750 0' ]]
  before=$(sha256sum .env state/secret.key state/redis.conf state/map/clawdeploy-ports.conf)
  prepare --certificate "$HERE/certificates/fullchain.pem"
  [[ $before == "$(sha256sum .env state/secret.key state/redis.conf state/map/clawdeploy-ports.conf)" ]]
}

@test "everything comes up, and an instance opens through nginx" {
  compose up -d --no-build >&2
  wait_for 60 site --fail --output /dev/null https://panel.test:29543/healthz
  compose exec -T api clawdeploy-api user create --email a@example.test --name A --admin --password-stdin \
    <<<'correct horse battery'
  token=$(compose exec -T api clawdeploy-api token create --email a@example.test --name test | grep -o 'claw_[A-Za-z0-9_-]*')
  api() { site --header "Authorization: Bearer $token" --header 'Content-Type: application/json' "$@"; }
  id=$(api --data '{"name":"first"}' https://panel.test:29543/api/instances | jq -r .instance.id)
  up() { [[ $(api "https://panel.test:29543/api/instances/$id" | jq -r .status) == running ]]; }
  wait_for 120 up
  run curl --silent --insecure --output /dev/null --write-out '%{http_code}' --max-time 20 \
    --resolve "$id.claws.test:29543:127.0.0.1" "https://$id.claws.test:29543/"
  [[ $output == 200 ]]
  # The worker was called through its socket, and the API trusted nginx's client address.
  [[ $(api --request POST "https://panel.test:29543/api/instances/$id/dashboard-link" | jq -r .url) == "https://$id.claws.test:29543/"* ]]
  [[ $(api https://panel.test:29543/api/admin/audit | jq -r '.items[0].clientIp') == 127.0.0.1 ]]
  job=$(api --request DELETE "https://panel.test:29543/api/instances/$id" | jq -r .job.id)
  gone() { [[ $(api "https://panel.test:29543/api/jobs/$job" | jq -r .status) == succeeded ]]; }
  wait_for 60 gone
}
