# shellcheck shell=bash
# What ClawDeploy depends on: packages, Postgres, Redis, settings, nginx. Needs changes.sh and packages.sh.
#
# shellcheck disable=SC2034,SC2154 # install.sh sets what is read here, and reads what is set

readonly NGINX_SITE=/etc/nginx/sites-available/clawdeploy NGINX_LINK=/etc/nginx/sites-enabled/clawdeploy
readonly NGINX_MAIN=/etc/nginx/modules-enabled/90-clawdeploy.conf
readonly REDIS_CONF=/etc/redis/redis-clawdeploy.conf REDIS_DATA=/var/lib/redis/clawdeploy

packages_wanted() {
  local -a wanted=(ca-certificates curl docker.io iptables jq nginx openssl util-linux zstd) missing=()
  if [[ -z ${CLAWDEPLOY_DATABASE_URL:-} ]]; then wanted+=(postgresql); fi
  wanted+=(postgresql-client)
  if [[ -z ${CLAWDEPLOY_REDIS_URL:-} ]]; then wanted+=(redis-server); fi
  if [[ $unprivileged == yes ]]; then wanted+=(sudo); fi
  local name
  for name in "${wanted[@]}"; do
    package_there "$name" || missing+=("$name")
  done
  if ((${#missing[@]})); then change "installing ${missing[*]}" packages_ensure "${missing[@]}"; fi
}

# service_up NAME: starts it now and at every boot.
service_up() {
  if with_systemd; then
    if ! systemctl is-enabled --quiet "$1" || ! systemctl is-active --quiet "$1"; then
      change "starting $1 and enabling it at boot" systemctl enable --quiet --now "$1"
    fi
  elif [[ -x /etc/init.d/$1 ]] && ! service "$1" status >/dev/null 2>&1; then
    change "starting $1" service "$1" start
  fi
}

directories_ensure() {
  directory_ensure "$ETC" 0711
  directory_ensure "$(setting CLAWDEPLOY_DATA_DIR /data/clawdeploy)" 0711
}

# settings_common: settings that both programs share, and those of each.
settings_common() {
  local domain public listen file
  domain=$(setting CLAWDEPLOY_BASE_DOMAIN claw.a2a.ing)
  public=$(env_get "$API_ENV" CLAWDEPLOY_PUBLIC_URL || public_url "$domain")
  listen=${CLAWDEPLOY_LISTEN:-127.0.0.1:8080}
  for file in "$API_ENV" "$WORKER_ENV"; do
    setting_ensure "$file" CLAWDEPLOY_ROUTING nginx
    setting_ensure "$file" CLAWDEPLOY_BASE_DOMAIN "$domain"
  done
  setting_ensure "$API_ENV" CLAWDEPLOY_LISTEN "$listen"
  setting_ensure "$API_ENV" CLAWDEPLOY_PUBLIC_URL "$public"
  # Workers are root, or may run this one command as root.
  if [[ $unprivileged == yes ]]; then
    setting_ensure "$WORKER_ENV" CLAWDEPLOY_NGINX_RELOAD 'sudo -n /usr/sbin/nginx -s reload'
  else
    setting_ensure "$WORKER_ENV" CLAWDEPLOY_NGINX_RELOAD '/usr/sbin/nginx -s reload'
  fi
  # nginx is in front.
  setting_ensure "$API_ENV" CLAWDEPLOY_TRUSTED_PROXIES 127.0.0.1
  setting_ensure "$WORKER_ENV" CLAWDEPLOY_DATA_DIR "$(setting CLAWDEPLOY_DATA_DIR /data/clawdeploy)"
  if [[ -z $admin_email ]]; then admin_email=admin@$domain; fi
  if [[ $(registrable "$(host_of "$public")") == "$(registrable "$domain")" ]]; then
    todo+=("the panel ($public) and the instances (*.$domain) share a domain: browsers treat an instance's pages as
    part of the panel's site. Better give the instances another domain: CLAWDEPLOY_BASE_DOMAIN.")
  fi
}

# public_url DOMAIN: URL of the panel; below the instances' domain unless it is set.
public_url() { printf '%s\n' "${CLAWDEPLOY_PUBLIC_URL:-https://panel.$1}"; }

host_of() { sed -E 's,^https?://,,; s,[:/].*,,' <<<"$1"; }

# registrable HOST: its last two labels. Some registrable domains have three; this is only for a warning.
registrable() { awk -F. '{ print $(NF - 1) "." $NF }' <<<"$1"; }

# as_postgres ARGUMENT...: psql as the superuser of the machine's Postgres. SQL with secrets comes on standard input.
as_postgres() { (cd / && runuser -u postgres -- psql --no-psqlrc -qtAX -v ON_ERROR_STOP=1 "$@"); }

postgres_ensure() {
  local url file password
  if url=$(env_get "$API_ENV" CLAWDEPLOY_DATABASE_URL || printf '%s\n' "${CLAWDEPLOY_DATABASE_URL:-}") &&
    [[ -n $url && $url != postgres://clawdeploy:*@127.0.0.1:*/clawdeploy ]]; then
    for file in "$API_ENV" "$WORKER_ENV"; do setting_ensure "$file" CLAWDEPLOY_DATABASE_URL "$url"; done
    return
  fi
  service_up postgresql
  if [[ $dry_run == yes ]] && ! as_postgres -c 'SELECT 1' >/dev/null 2>&1; then
    change "creating the database clawdeploy and its role"
    for file in "$API_ENV" "$WORKER_ENV"; do setting_ensure "$file" CLAWDEPLOY_DATABASE_URL "postgres://..."; done
    return
  fi
  wait_for 30 as_postgres -c 'SELECT 1' || die "the machine's Postgres does not answer." "See: pg_lsclusters"
  if [[ -z $url ]]; then
    password=$(random_hex 24)
    change "creating the database role clawdeploy" database_role "$password"
    url=postgres://clawdeploy:$password@127.0.0.1:$(as_postgres -c 'SHOW port')/clawdeploy
  fi
  tenant_role_ensure
  if [[ $(as_postgres -c "SELECT 1 FROM pg_database WHERE datname = 'clawdeploy'") != 1 ]]; then
    change "creating the database clawdeploy" as_postgres -c 'CREATE DATABASE clawdeploy OWNER clawdeploy ENCODING UTF8 TEMPLATE template0'
  fi
  for file in "$API_ENV" "$WORKER_ENV"; do setting_ensure "$file" CLAWDEPLOY_DATABASE_URL "$url"; done
}

# database_role PASSWORD: creates or alters the role. The password is hexadecimal.
database_role() {
  local verb=CREATE
  if [[ $(as_postgres -c "SELECT 1 FROM pg_roles WHERE rolname = 'clawdeploy'") == 1 ]]; then verb=ALTER; fi
  as_postgres <<<"$verb ROLE clawdeploy LOGIN PASSWORD '$1'"
}

# tenant_role_ensure: the role for queries of a user's own rows. The programs grant its permissions.
tenant_role_ensure() {
  if [[ $(as_postgres -c "SELECT 1 FROM pg_roles WHERE rolname = 'clawdeploy_tenant'") != 1 ]]; then
    change "creating the database role clawdeploy_tenant" as_postgres -c 'CREATE ROLE clawdeploy_tenant NOLOGIN'
  fi
  if [[ $(as_postgres -c "SELECT 1 FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid JOIN pg_roles u ON u.oid = m.member
    WHERE r.rolname = 'clawdeploy_tenant' AND u.rolname = 'clawdeploy'") != 1 ]]; then
    change "granting that role to clawdeploy" as_postgres -c 'GRANT clawdeploy_tenant TO clawdeploy'
  fi
}

# redis_ensure: an instance of our own beside the machine's, by Debian's template unit: it must forget nothing while it has
# room and evict nothing when it has none, which is not what others want of theirs.
redis_ensure() {
  local url=${CLAWDEPLOY_REDIS_URL:-} file port password temp
  if env_get "$API_ENV" CLAWDEPLOY_REDIS_URL >/dev/null; then url=$(env_get "$API_ENV" CLAWDEPLOY_REDIS_URL); fi
  if [[ -z $url ]]; then
    port=$(free_port 6380) || die "there is no free port for Redis from 6380 on."
    password=$(random_hex 24)
    url=redis://default:$password@127.0.0.1:$port/0
    temp=$(mktemp)
    printf '%s\n' '# Written by deploy/install.sh, once.' 'bind 127.0.0.1' "port $port" "requirepass $password" \
      "dir $REDIS_DATA" 'appendonly yes' 'save ""' 'maxmemory-policy noeviction' \
      'pidfile /run/redis-clawdeploy/redis-server.pid' 'logfile /var/log/redis/redis-server-clawdeploy.log' >"$temp"
    file_ensure "$temp" "$REDIS_CONF" 0640 redis:redis
    rm -f -- "$temp"
  fi
  for file in "$API_ENV" "$WORKER_ENV"; do setting_ensure "$file" CLAWDEPLOY_REDIS_URL "$url"; done
  if [[ $url != redis://default:*@127.0.0.1:* || ($dry_run == yes && ! -f $REDIS_CONF) ]]; then return; fi
  if [[ ! -d $REDIS_DATA ]]; then change "making $REDIS_DATA" install -d -o redis -g redis -m 0750 "$REDIS_DATA"; fi
  if with_systemd; then
    service_up redis-server@clawdeploy
  else
    todo+=("start Redis: runuser -u redis -- redis-server $REDIS_CONF")
  fi
}

# nginx_site_ensure: sets up the panel and the instances' subdomains, once there is a certificate for them.
nginx_site_ensure() {
  local domain site live
  domain=$(setting CLAWDEPLOY_BASE_DOMAIN claw.a2a.ing)
  site=$(host_of "$(env_get "$API_ENV" CLAWDEPLOY_PUBLIC_URL || public_url "$domain")")
  live=/etc/letsencrypt/live/$domain
  nginx_map_ensure
  if [[ ! -x $ROOT/deploy/nginx/render.sh ]]; then
    todo+=("set up nginx by hand: this tree has no deploy/nginx/render.sh")
  elif [[ ! -s $live/fullchain.pem ]]; then
    local also=''
    if [[ $site != *."$domain" ]]; then also=" --also $site"; fi
    todo+=("get a certificate, then run this again: CLAWDEPLOY_BASE_DOMAIN=$domain scripts/setup-ssl-wildcard.sh$also")
  else
    nginx_site_write "$domain" "$site" "$live"
  fi
}

# nginx_map_ensure: creates the directory of the map with the instances' ports, and an initial map.
nginx_map_ensure() {
  local map temp owner=root
  map=$(setting CLAWDEPLOY_NGINX_MAP /var/lib/clawdeploy/nginx/clawdeploy-ports.conf)
  if worker_has_name; then owner=clawdeploy-worker; fi
  if [[ ! -d ${map%/*} || $(stat -c %U -- "${map%/*}") != "$owner" ]]; then
    change "creating ${map%/*}" install -d -o "$owner" -g "$owner" -m 0755 -- "${map%/*}"
  fi
  if [[ ! -e $map && -x $ROOT/deploy/nginx/render.sh ]]; then
    temp=$(mktemp)
    "$ROOT/deploy/nginx/render.sh" --empty-map >"$temp"
    file_ensure "$temp" "$map" 0644 "$owner:$owner"
    rm -f -- "$temp"
  fi
}

# nginx_site_write DOMAIN SITE LIVE: renders the site from the templates, and keeps it only if nginx accepts it.
nginx_site_write() {
  local -r before=$changes
  local temp
  temp=$(mktemp)
  "$ROOT/deploy/nginx/render.sh" --base-domain "$1" --site "$2" --certificate "$3/fullchain.pem" --key "$3/privkey.pem" \
    --map "$(setting CLAWDEPLOY_NGINX_MAP /var/lib/clawdeploy/nginx/clawdeploy-ports.conf)" \
    --api "$(env_get "$API_ENV" CLAWDEPLOY_LISTEN)" --probe "$(setting CLAWDEPLOY_NGINX_PROBE 127.0.0.1:8079)" >"$temp"
  file_ensure "$temp" "$NGINX_SITE" 0644
  # Debian's nginx reads this outside of its http block. It ends old workers with open WebSockets.
  printf 'worker_shutdown_timeout 15m;\n' >"$temp"
  file_ensure "$temp" "$NGINX_MAIN" 0644
  rm -f -- "$temp"
  if [[ ! -L $NGINX_LINK ]]; then change "enabling the nginx site" ln -s -- "$NGINX_SITE" "$NGINX_LINK"; fi
  if ((changes > before)) && [[ $dry_run == no ]] && ! nginx -t -q; then
    rm -f -- "$NGINX_LINK"
    die "nginx rejects the site; it is disabled again." "nginx -t says why, after: ln -s $NGINX_SITE $NGINX_LINK"
  fi
  service_up nginx
  if ((changes > before)) && [[ $dry_run == no ]]; then nginx -s reload; fi
}

nginx_site_remove() {
  local -r before=$changes
  remove "$NGINX_LINK" "$NGINX_SITE" "$NGINX_MAIN"
  if ((changes > before)) && [[ $dry_run == no && -s /run/nginx.pid ]] && nginx -t -q; then nginx -s reload; fi
}
