#!/usr/bin/env bats
# The private nginx of scripts/up, started for real in a directory of the test. Its responses with an API are tested
# elsewhere.

bats_require_minimum_version 1.5.0

setup_file() {
  [[ $EUID -eq 0 ]] || skip "needs root"
  export STATE=$BATS_FILE_TMPDIR/state
}

setup() {
  source "$BATS_TEST_DIRNAME/../lib/common.sh"
  source "$BATS_TEST_DIRNAME/../lib/packages.sh"
  source "$BATS_TEST_DIRNAME/../lib/services.sh"
  source "$BATS_TEST_DIRNAME/../lib/nginx.sh"
  ENV=$STATE/env
  # Nothing listens there.
  env_put "$ENV" CLAWDEPLOY_LISTEN 127.0.0.1:9
  nginx_settings "$ENV"
}

teardown_file() {
  source "$BATS_TEST_DIRNAME/../lib/common.sh"
  pid_stop "$STATE/run/nginx.pid" 10
}

pid() { pid_alive "$STATE/run/nginx.pid"; }

# ask HOST: the status of a response of nginx over TLS, with its certificate checked.
ask() {
  local -r port=$(env_get "$ENV" NGINX_PORT)
  curl --silent --noproxy '*' --max-time 5 --cacert "$NGINX_HOME/certificate.pem" --resolve "$1:$port:127.0.0.1" \
    --output /dev/null --write-out '%{http_code}' "https://$1:$port/"
}

@test "it starts on loopback, and starting it again changes nothing" {
  nginx_start "$ENV"
  before=$(pid)
  [[ $(ss -Hltnp | grep "pid=$before," | awk '{ print $4 }' | grep -cv '^127\.0\.0\.1:') == 0 ]]
  nginx_start "$ENV"
  nginx_settings "$ENV"
  [[ $(pid) == "$before" ]]
  nginx_answers "$ENV"
}

@test "its certificate is for the site and for every instance" {
  [[ $(stat -c %a "$NGINX_HOME/key.pem") == 600 ]]
  for name in "$NGINX_SITE" "a23456789012.$NGINX_BASE_DOMAIN"; do
    [[ $(ask "$name") -ge 500 ]]
  done
  run ask example.test
  [[ $status -ne 0 ]]
}

@test "a certificate that is about to end is made anew, a good one is kept" {
  nginx_certificate
  kept=$(sha256sum <"$NGINX_HOME/certificate.pem")
  nginx_certificate
  [[ $(sha256sum <"$NGINX_HOME/certificate.pem") == "$kept" ]]
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 29 -subj /CN=old \
    -keyout "$NGINX_HOME/key.pem" -out "$NGINX_HOME/certificate.pem" 2>/dev/null
  nginx_certificate
  openssl x509 -in "$NGINX_HOME/certificate.pem" -noout -checkend $((390 * 86400))
}

@test "what has changed in its configuration is taken up by the one that runs" {
  before=$(pid)
  workers() { pgrep -P "$before"; }
  old=$(workers)
  env_put "$ENV" CLAWDEPLOY_LISTEN 127.0.0.1:10
  nginx_start "$ENV"
  [[ $(pid) == "$before" ]]
  others() { [[ -n $(workers) && $(workers) != *"$old"* ]]; }
  wait_for 60 others
}

@test "a map that nginx refuses is named as the reason" {
  nginx_stop
  printf 'a b c\n' >"$NGINX_HOME/map/clawdeploy-ports.conf"
  run nginx_start "$ENV"
  [[ $status -ne 0 && $output == *"private nginx does not start"*"$NGINX_HOME/nginx.conf"* ]]
}
