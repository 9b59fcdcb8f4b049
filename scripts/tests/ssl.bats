#!/usr/bin/env bats
# setup-ssl-wildcard.sh with the real certbot and its Cloudflare plugin against Pebble (Let's Encrypt's test server),
# whose DNS serves the records of a fake Cloudflare API; then nginx with the certificate. All files are in a directory
# of the test; /etc/letsencrypt is not touched.

bats_require_minimum_version 1.5.0

DOMAIN=claw.example.test
ZONE=example.test
TOKEN=test-token_0123456789abcdefghijklmnopqrstuv

setup_file() {
  [[ $EUID -eq 0 ]] || skip "needs root"
  export STATE=$BATS_FILE_TMPDIR/state
  source "$BATS_TEST_DIRNAME/../lib/common.sh"
  source "$BATS_TEST_DIRNAME/../lib/packages.sh"
  packages_ensure certbot python3-certbot-dns-cloudflare pebble nginx openssl python3 curl

  local -r dir=$BATS_FILE_TMPDIR
  local name
  local -A port
  # Below the ports for outgoing connections, as in common.bats.
  local next=31300
  for name in acme management dns dns_management cloudflare https; do
    port[$name]=$(free_port "$next")
    next=$((port[$name] + 1))
  done
  export ACME=https://localhost:${port[acme]}/dir MANAGEMENT=https://localhost:${port[management]}
  export DNS=http://127.0.0.1:${port[dns_management]} HTTPS_PORT=${port[https]}
  # certbot and its plugin read these from the environment.
  export CLOUDFLARE_API_URL=http://127.0.0.1:${port[cloudflare]}/client/v4 REQUESTS_CA_BUNDLE=$dir/pebble.pem
  export no_proxy=localhost,127.0.0.1
  export CLAWDEPLOY_BASE_DOMAIN=$DOMAIN CLAWDEPLOY_DNS_PROPAGATION_SECONDS=0
  export CONFIG=$dir/letsencrypt NGINX_CONF=$dir/nginx/nginx.conf

  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost -keyout "$dir/pebble.key" -out "$dir/pebble.pem" 2>/dev/null
  cat >"$dir/pebble.json" <<END
{ "pebble": { "listenAddress": "127.0.0.1:${port[acme]}", "managementListenAddress": "127.0.0.1:${port[management]}",
  "certificate": "$dir/pebble.pem", "privateKey": "$dir/pebble.key", "httpPort": 1, "tlsPort": 1 } }
END
  spawn dns pebble-challtestsrv -dns01 "127.0.0.1:${port[dns]}" -management "127.0.0.1:${port[dns_management]}" \
    -http01 '' -https01 '' -tlsalpn01 ''
  # Each authorization is validated again, and Pebble's random rejections are turned off.
  PEBBLE_VA_NOSLEEP=1 PEBBLE_AUTHZREUSE=0 PEBBLE_WFE_NONCEREJECT=0 \
    spawn pebble pebble -strict -config "$dir/pebble.json" -dnsserver "127.0.0.1:${port[dns]}"
  spawn cloudflare python3 "$BATS_TEST_DIRNAME/acme/cloudflare.py" "${port[cloudflare]}" "$ZONE" "$TOKEN" "$DNS"
  wait_for 60 curl --silent --fail --cacert "$dir/pebble.pem" "$ACME"
  wait_for 60 port_taken "${port[cloudflare]}"
  wait_for 60 port_taken "${port[dns_management]}"
}

teardown_file() {
  source "$BATS_TEST_DIRNAME/../lib/common.sh"
  local file
  for file in "$STATE"/run/*.pid; do
    if [[ -f $file ]]; then pid_stop "$file" 5; fi
  done
}

setup() {
  source "$BATS_TEST_DIRNAME/../lib/common.sh"
  LIVE=$CONFIG/live/$DOMAIN
}

ssl() {
  run "$BATS_TEST_DIRNAME/../setup-ssl-wildcard.sh" --server "$ACME" --config-dir "$CONFIG" --nginx-config "$NGINX_CONF" "$@" \
    </dev/null
}

serial() { openssl x509 -noout -serial -in "$LIVE/fullchain.pem"; }

# served NAME: serial number of the certificate that nginx serves for this name.
served() {
  openssl s_client -connect "127.0.0.1:$HTTPS_PORT" -servername "$1" </dev/null 2>/dev/null | openssl x509 -noout -serial
}

serves_the_new() { [[ $(served "any.$DOMAIN") == "$(serial)" ]]; }

@test "without a token it says how to get one" {
  ssl
  [[ $status -eq 1 && $output == *"Zone:DNS:Edit"* ]]
  [[ ! -e $CONFIG/cloudflare.ini ]]
}

@test "what is no token is refused before anything is asked" {
  CLOUDFLARE_API_TOKEN='not a token' ssl
  [[ $status -eq 1 && $output == *"not a Cloudflare API token"* ]]
  [[ ! -e $CONFIG ]]
}

@test "a dry run goes the whole way and keeps neither certificate nor token" {
  CLOUDFLARE_API_TOKEN=$TOKEN ssl --dry-run
  [[ $status -eq 0 && $output == *"it works"* ]]
  [[ ! -e $CONFIG/cloudflare.ini && ! -e $LIVE && ! -e $CONFIG/renewal-hooks/deploy/clawdeploy-nginx ]]
}

@test "a token that Cloudflare refuses is named as the reason" {
  CLOUDFLARE_API_TOKEN=${TOKEN^^} ssl
  [[ $status -eq 1 && $output == *"Cloudflare refuses the token"* ]]
  [[ ! -e $LIVE ]]
}

@test "a domain that the token has no zone for is named as the reason" {
  CLAWDEPLOY_BASE_DOMAIN=claw.elsewhere.test CLOUDFLARE_API_TOKEN=$TOKEN ssl
  [[ $status -eq 1 && $output == *"no zone that claw.elsewhere.test belongs to"* ]]
}

@test "a wildcard certificate comes out, the token stays with root" {
  CLOUDFLARE_API_TOKEN=$TOKEN ssl
  [[ $status -eq 0 ]]
  [[ $output != *"$TOKEN"* ]]
  names=$(openssl x509 -noout -ext subjectAltName -in "$LIVE/fullchain.pem")
  [[ $names == *"DNS:*.$DOMAIN"* && $names == *"DNS:$DOMAIN"* ]]
  [[ $(stat -c %a "$CONFIG/cloudflare.ini") == 600 ]]
  run grep -rlF -- "$TOKEN" "$CONFIG"
  [[ $output == "$CONFIG/cloudflare.ini" ]]
  # The challenge records, one for each name, were removed from the DNS.
  [[ $(grep -c '"POST .*dns_records' "$STATE/log/cloudflare.log") -ge 2 ]]
  [[ $(grep -c '"DELETE ' "$STATE/log/cloudflare.log") == $(grep -c '"POST ' "$STATE/log/cloudflare.log") ]]
}

@test "run again, it leaves a good certificate as it is and needs no token" {
  before=$(serial)
  ssl
  [[ $status -eq 0 && $output == *"already a valid certificate"* ]]
  [[ $(serial) == "$before" ]]
}

@test "nginx serves it, and a client that trusts the authority takes it for any name below the domain" {
  mkdir -p "${NGINX_CONF%/*}"
  cat >"$NGINX_CONF" <<END
pid ${NGINX_CONF%/*}/pid;
error_log ${NGINX_CONF%/*}/error.log;
events {}
http {
  access_log off;
  server {
    listen 127.0.0.1:$HTTPS_PORT ssl;
    ssl_certificate $LIVE/fullchain.pem;
    ssl_certificate_key $LIVE/privkey.pem;
    location / { return 200 "\$host\n"; }
  }
}
END
  spawn nginx nginx -c "$NGINX_CONF" -g 'daemon off;'
  wait_for 60 port_taken "$HTTPS_PORT"
  curl --silent --fail --cacert "$BATS_FILE_TMPDIR/pebble.pem" "$MANAGEMENT/roots/0" >"$BATS_FILE_TMPDIR/root.pem"
  for name in "$DOMAIN" "l82461og577v.$DOMAIN"; do
    run curl --silent --show-error --cacert "$BATS_FILE_TMPDIR/root.pem" --noproxy '*' \
      --resolve "$name:$HTTPS_PORT:127.0.0.1" "https://$name:$HTTPS_PORT/"
    [[ $status -eq 0 && $output == "$name" ]]
  done
  run curl --silent --cacert "$BATS_FILE_TMPDIR/root.pem" --noproxy '*' \
    --resolve "other.test:$HTTPS_PORT:127.0.0.1" "https://other.test:$HTTPS_PORT/"
  [[ $status -eq 60 ]]
}

@test "a renewal, as certbot's timer does it, reloads nginx with the new certificate" {
  before=$(served "any.$DOMAIN")
  [[ $before == "$(serial)" ]]
  certbot renew --force-renewal --no-random-sleep-on-renew --config-dir "$CONFIG" --work-dir "$CONFIG/work" \
    --logs-dir "$CONFIG/logs"
  [[ $(serial) != "$before" ]]
  wait_for 60 serves_the_new
}

@test "a renewal leaves nginx alone while its configuration is broken" {
  before=$(served "any.$DOMAIN")
  cp "$NGINX_CONF" "$NGINX_CONF.good"
  echo broken >>"$NGINX_CONF"
  run certbot renew --force-renewal --no-random-sleep-on-renew --config-dir "$CONFIG" --work-dir "$CONFIG/work" \
    --logs-dir "$CONFIG/logs"
  mv "$NGINX_CONF.good" "$NGINX_CONF"
  [[ $output == *"Hook 'deploy-hook' reported error"* ]]
  [[ $(served "any.$DOMAIN") == "$before" && $(serial) != "$before" ]]
}

@test "another authority's certificate is replaced, and nginx takes it at once" {
  before=$(serial)
  sed -i 's,^server = .*,server = https://acme.example.test/dir,' "$CONFIG/renewal/$DOMAIN.conf"
  ssl
  [[ $status -eq 0 && $output == *"from another authority"*"nginx uses it"* ]]
  [[ $(serial) != "$before" ]]
  wait_for 60 serves_the_new
}

@test "another name goes into the same certificate, and stays there" {
  CLOUDFLARE_API_TOKEN=$TOKEN ssl --also "panel.$ZONE"
  [[ $status -eq 0 && $output == *"for other names"* ]]
  names=$(openssl x509 -noout -ext subjectAltName -in "$LIVE/fullchain.pem")
  [[ $names == *"DNS:*.$DOMAIN"* && $names == *"DNS:panel.$ZONE"* ]]
  before=$(serial)
  ssl --also "panel.$ZONE"
  [[ $status -eq 0 && $(serial) == "$before" ]]
}

@test "an nginx in a container is reloaded there" {
  # Only the calls to Docker are tested; the test of deploy/compose has an nginx in a container.
  bin=$BATS_TEST_TMPDIR/bin
  mkdir -p "$bin"
  printf '#!/bin/sh\necho "$*" >>"%s"\n' "$bin/asked" >"$bin/docker"
  chmod +x "$bin/docker"
  ssl --nginx-container 'x; true' --also "panel.$ZONE"
  [[ $status -eq 2 && $output == *"not a container name"* ]]
  PATH=$bin:$PATH ssl --nginx-container front --also "panel.$ZONE"
  [[ $status -eq 0 ]]
  PATH=$bin:$PATH certbot renew --force-renewal --no-random-sleep-on-renew --config-dir "$CONFIG" \
    --work-dir "$CONFIG/work" --logs-dir "$CONFIG/logs"
  [[ $(tail -n 2 "$bin/asked") == $'exec front nginx -c '"$NGINX_CONF"$' -t -q\nexec front nginx -c '"$NGINX_CONF"' -s reload' ]]
}
