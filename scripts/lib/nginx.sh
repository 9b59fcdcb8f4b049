# shellcheck shell=bash
# A private nginx under $STATE/nginx: on 127.0.0.1, on free ports, with a self-signed certificate. The machine's own nginx
# and /etc/nginx are never read, changed or stopped. Needs common.sh, packages.sh and services.sh.

readonly NGINX_HOME=$STATE/nginx
# Names below .localhost resolve to this machine in every browser. The panel and the instances are different sites there.
readonly NGINX_BASE_DOMAIN=claw.localhost NGINX_SITE=clawdeploy.localhost
# Above the instances' ports (10000-20000), below the ephemeral ports of the kernel.
readonly NGINX_FIRST_PORT=8443 NGINX_FIRST_PROBE=28079

# nginx_settings ENV_FILE: the settings that the programs need.
nginx_settings() {
  local -r env=$1
  packages_ensure nginx openssl
  if ! running nginx; then
    own_port "$env" NGINX_PORT "$NGINX_FIRST_PORT" >/dev/null
    own_port "$env" NGINX_PROBE_PORT "$NGINX_FIRST_PROBE" >/dev/null
  fi
  env_put "$env" CLAWDEPLOY_ROUTING nginx
  env_put "$env" CLAWDEPLOY_BASE_DOMAIN "$NGINX_BASE_DOMAIN"
  env_put "$env" CLAWDEPLOY_HTTPS_PORT "$(env_get "$env" NGINX_PORT)"
  env_put "$env" CLAWDEPLOY_NGINX_MAP "$NGINX_HOME/map/clawdeploy-ports.conf"
  env_put "$env" CLAWDEPLOY_NGINX_PROGRAM "$(nginx_program)"
  env_put "$env" CLAWDEPLOY_NGINX_RELOAD "$(nginx_program) -e stderr -p $NGINX_HOME -c $NGINX_HOME/nginx.conf -s reload"
  env_put "$env" CLAWDEPLOY_NGINX_PROBE "127.0.0.1:$(env_get "$env" NGINX_PROBE_PORT)"
}

nginx_program() { PATH=$PATH:/usr/sbin command -v nginx; }

# nginx_certificate: for the panel, the base domain and every instance; created once, and again a month before it expires.
nginx_certificate() {
  local -r certificate=$NGINX_HOME/certificate.pem key=$NGINX_HOME/key.pem
  if [[ -s $key ]] && openssl x509 -in "$certificate" -noout -checkend 2592000 >/dev/null 2>&1; then return; fi
  (umask 077 && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 397 \
    -keyout "$key.new" -out "$certificate.new" -subj "/CN=$NGINX_BASE_DOMAIN" \
    -addext "subjectAltName=DNS:$NGINX_BASE_DOMAIN,DNS:*.$NGINX_BASE_DOMAIN,DNS:$NGINX_SITE" \
    -addext 'extendedKeyUsage=serverAuth' 2>/dev/null) || die "openssl could not create a certificate in $NGINX_HOME."
  mv -f -- "$key.new" "$key"
  mv -f -- "$certificate.new" "$certificate"
  chmod 0644 "$certificate"
}

# nginx_start ENV_FILE: starts nginx unless it runs; a running nginx reloads a changed configuration.
nginx_start() {
  local -r env=$1 program=$(nginx_program)
  local user=www-data changed=
  install -d -m 0711 "$NGINX_HOME"
  install -d -m 0755 "$NGINX_HOME/map"
  getent passwd "$user" >/dev/null || user=nobody
  nginx_certificate
  if [[ ! -s $NGINX_HOME/map/clawdeploy-ports.conf ]]; then
    "$ROOT/deploy/nginx/render.sh" --empty-map >"$NGINX_HOME/map/clawdeploy-ports.conf"
  fi
  "$ROOT/deploy/nginx/render.sh" --standalone "$NGINX_HOME" --user "$user" --workers 1 --listen 127.0.0.1 \
    --error-log "$STATE/log/nginx.log" --base-domain "$NGINX_BASE_DOMAIN" --site "$NGINX_SITE" \
    --certificate "$NGINX_HOME/certificate.pem" --key "$NGINX_HOME/key.pem" \
    --map "$NGINX_HOME/map/clawdeploy-ports.conf" --api "$(env_get "$env" CLAWDEPLOY_LISTEN)" \
    --https-port "$(env_get "$env" NGINX_PORT)" --http-port 0 --probe "$(env_get "$env" CLAWDEPLOY_NGINX_PROBE)" \
    >"$NGINX_HOME/nginx.conf.new" || die "the nginx configuration could not be rendered."
  cmp -s "$NGINX_HOME/nginx.conf.new" "$NGINX_HOME/nginx.conf" || changed=yes
  mv -f -- "$NGINX_HOME/nginx.conf.new" "$NGINX_HOME/nginx.conf"
  if running nginx; then
    if [[ -n $changed ]]; then kill -HUP "$(pid_alive "$STATE/run/nginx.pid")"; fi
    return
  fi
  mkdir -p -- "$STATE/log"
  : >"$STATE/log/nginx.log"
  spawn nginx "$program" -e "$STATE/log/nginx.log" -p "$NGINX_HOME" -c "$NGINX_HOME/nginx.conf"
  if ! wait_for 30 nginx_answers "$env"; then
    log_tail "$STATE/log/nginx.log"
    die "the private nginx does not start." "Its configuration is $NGINX_HOME/nginx.conf, its log $STATE/log/nginx.log."
  fi
}

nginx_answers() {
  curl --silent --fail --noproxy '*' --max-time 2 "http://$(env_get "$1" CLAWDEPLOY_NGINX_PROBE)/__clawdeploy/generation"
}

nginx_stop() { pid_stop "$STATE/run/nginx.pid" 10; }
