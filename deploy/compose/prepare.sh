#!/usr/bin/env bash
# Writes what deploy/compose/compose.yml reads: settings with secrets, the key, and nginx's configuration.
set -Eeuo pipefail

usage() {
  cat <<'END'
Usage: deploy/compose/prepare.sh --site HOST [OPTION...]

You can run it again at any time: existing secrets and settings stay, and the nginx configuration is rendered anew. Then:

  docker compose --project-directory deploy/compose up -d --build

  --site HOST           host name of the panel; better in another domain than the instances
  --certificate FILE    certificate for HOST, the base domain and all names directly below it, with its chain
                        (/etc/letsencrypt/live/{base domain}/fullchain.pem)
  --key FILE            its key (privkey.pem beside it)
  --hsts SECONDS        tell browsers to use HTTPS only, for this long (default: not sent)
  --help

Settings, on the first run: CLAWDEPLOY_BASE_DOMAIN (claw.a2a.ing), CLAWDEPLOY_DATA_DIR (/data/clawdeploy),
CLAWDEPLOY_HTTPS_PORT (443), CLAWDEPLOY_HTTP_PORT (80; 0: none), CLAWDEPLOY_API_PORT (8080), CLAWDEPLOY_PROBE_PORT (8079),
CLAWDEPLOY_POSTGRES_PORT (15432), CLAWDEPLOY_REDIS_PORT (16379), CLAWDEPLOY_SUBNET (172.30.210.0/24),
CLAWDEPLOY_IMAGE_SOURCE (git), CLAWDEPLOY_PORT_RANGE (10000-20000), and the names of images: CLAWDEPLOY_POSTGRES_IMAGE,
CLAWDEPLOY_REDIS_IMAGE, CLAWDEPLOY_RUNTIME_IMAGE (debian:bookworm-slim), CLAWDEPLOY_OPENCLAW_BASE_IMAGE. To change them
later, edit deploy/compose/.env.
END
}

here=$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")" && pwd -P)
readonly here env=$here/.env state=$here/state
# The user of the API in its image (deploy/Dockerfile).
readonly API_USER=10001

fail() {
  printf 'error: %s\n' "$1" >&2
  exit 2
}

site='' certificate='' key='' hsts=''
while (($#)); do
  case $1 in
    -h | --help)
      usage
      exit 0
      ;;
    --site | --certificate | --key | --hsts)
      [[ -n ${2:-} && $2 != -* ]] || fail "$1 needs a value"
      printf -v "${1#--}" %s "$2"
      shift 2
      ;;
    *) fail "unknown argument: $1; see --help" ;;
  esac
done
[[ $EUID == 0 ]] || fail "run this as root: it changes the owner of the key"
command -v openssl >/dev/null || fail "openssl is missing: apt-get install openssl"

# setting NAME DEFAULT: the value in .env, else in the environment, else the default; stored in .env on the first run.
setting() {
  local value
  value=$(sed -n "s/^$1=//p" "$env")
  if [[ -z $value ]]; then
    value=${!1:-$2}
    # docker compose reads the file; it expands dollar signs and removes quotes.
    [[ $value =~ ^[A-Za-z0-9._:/@+=,-]*$ ]] || fail "$1 cannot be '$value'"
    if [[ -n $value ]]; then printf '%s=%s\n' "$1" "$value" >>"$env"; fi
  fi
  printf -v "$1" %s "$value"
}

umask 077
touch -- "$env"
mkdir -p -- "$state/nginx" "$state/run" "$state/map"
setting COMPOSE_PROJECT_NAME clawdeploy
setting CLAWDEPLOY_BASE_DOMAIN claw.a2a.ing
setting CLAWDEPLOY_SITE "$site"
[[ -n $CLAWDEPLOY_SITE ]] || fail "--site is missing; see --help"
[[ -z $site || $site == "$CLAWDEPLOY_SITE" ]] || fail "the site is already $CLAWDEPLOY_SITE; change it in $env"
setting CLAWDEPLOY_HTTPS_PORT 443
setting CLAWDEPLOY_HTTP_PORT 80
port=:$CLAWDEPLOY_HTTPS_PORT
setting CLAWDEPLOY_PUBLIC_URL "https://$CLAWDEPLOY_SITE${port/#:443/}"
setting CLAWDEPLOY_DATA_DIR /data/clawdeploy
setting CLAWDEPLOY_API_PORT 8080
setting CLAWDEPLOY_PROBE_PORT 8079
setting CLAWDEPLOY_POSTGRES_PORT 15432
setting CLAWDEPLOY_REDIS_PORT 16379
setting CLAWDEPLOY_PORT_RANGE 10000-20000
setting CLAWDEPLOY_SUBNET 172.30.210.0/24
[[ $CLAWDEPLOY_SUBNET =~ ^([0-9]+\.[0-9]+\.[0-9]+)\.0/24$ ]] || fail "CLAWDEPLOY_SUBNET needs the form 172.30.210.0/24"
setting CLAWDEPLOY_GATEWAY "${BASH_REMATCH[1]}.1"
setting CLAWDEPLOY_IMAGE_SOURCE git
for name in CLAWDEPLOY_POSTGRES_IMAGE CLAWDEPLOY_REDIS_IMAGE CLAWDEPLOY_RUNTIME_IMAGE CLAWDEPLOY_OPENCLAW_BASE_IMAGE \
  CLAWDEPLOY_BINARIES CLAWDEPLOY_NGINX_CONTAINER CLAWDEPLOY_DEPLOYMENT; do
  if [[ -n ${!name:-} ]]; then setting "$name" ''; fi
done
# Secrets are generated only here, so that they have no default.
for name in CLAWDEPLOY_POSTGRES_PASSWORD CLAWDEPLOY_REDIS_PASSWORD; do
  setting "$name" "$(openssl rand -hex 24)"
done

certificate=${certificate:-/etc/letsencrypt/live/$CLAWDEPLOY_BASE_DOMAIN/fullchain.pem}
key=${key:-${certificate%/*}/privkey.pem}
for file in "$certificate" "$key"; do
  [[ -s $file ]] || fail "there is no $file; scripts/setup-ssl-wildcard.sh gets a certificate"
done
# letsencrypt's live/ has links into archive/, so nginx gets the whole directory; another directory is used as it is.
if [[ $certificate == /etc/letsencrypt/* ]]; then setting CLAWDEPLOY_CERTIFICATES /etc/letsencrypt; else
  setting CLAWDEPLOY_CERTIFICATES "${certificate%/*}"
fi

mkdir -p -- "$CLAWDEPLOY_DATA_DIR"
if [[ ! -s $state/secret.key ]]; then openssl rand -base64 32 >"$state/secret.key"; fi
chown "$API_USER:$API_USER" -- "$state/secret.key"
# Workers create sockets there for their group, which is also the API's.
chown "0:$API_USER" -- "$state/run"
chmod 0750 -- "$state/run"
if [[ ! -s $state/map/clawdeploy-ports.conf ]]; then
  "$here/../nginx/render.sh" --empty-map >"$state/map/clawdeploy-ports.conf"
fi
"$here/../nginx/render.sh" --standalone /run/nginx --user www-data --base-domain "$CLAWDEPLOY_BASE_DOMAIN" \
  --site "$CLAWDEPLOY_SITE" --certificate "$certificate" --key "$key" --map /var/lib/clawdeploy/nginx/clawdeploy-ports.conf \
  --api "127.0.0.1:$CLAWDEPLOY_API_PORT" --probe "127.0.0.1:$CLAWDEPLOY_PROBE_PORT" \
  --https-port "$CLAWDEPLOY_HTTPS_PORT" --http-port "$CLAWDEPLOY_HTTP_PORT" ${hsts:+--hsts "$hsts"} >"$state/nginx/nginx.conf"
# Redis reads this as another user, who has no access to state/.
umask 022
cat >"$state/redis.conf" <<END
# Written by prepare.sh. What is in here can be rebuilt from Postgres; nothing of it may be dropped to make room.
dir /data
appendonly yes
maxmemory-policy noeviction
protected-mode no
requirepass $CLAWDEPLOY_REDIS_PASSWORD
END
chmod 0644 -- "$state/redis.conf"

cat <<END
Ready. The settings are in $env, the key is in $state/secret.key: keep copies of both elsewhere.

  docker compose --project-directory $here up -d --build
  docker compose --project-directory $here exec api clawdeploy-api user create --email you@example.com --name You --admin --password-stdin

Then open $CLAWDEPLOY_PUBLIC_URL
END
