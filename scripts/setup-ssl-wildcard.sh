#!/usr/bin/env bash
# Gets a wildcard certificate from Let's Encrypt for the instances' domain, validated through Cloudflare DNS.
set -Eeuo pipefail

usage() {
  cat <<'END'
Usage: scripts/setup-ssl-wildcard.sh [--staging | --server URL] [--dry-run] [OPTION...]

Gets a certificate for the base domain and all names directly below it (claw.a2a.ing and *.claw.a2a.ing), installs the
tools for that, and makes nginx load each renewed one. You can run it again at any time: a certificate that is valid for
another month is left as it is.

The API token needs the permission Zone:DNS:Edit for the domain's zone. It is read from CLOUDFLARE_API_TOKEN or the
credentials file of an earlier run, or the script asks for it; it is never an argument.

  --also NAME          include this name too, such as that of the panel; the token must cover its zone. Repeatable
  --staging            use Let's Encrypt's test authority, which browsers do not trust and which has no strict limits
  --server URL         use another ACME authority (its directory URL)
  --dry-run            do everything at the test authority and keep nothing
  --config-dir DIR     directory of certificates and credentials (/etc/letsencrypt)
  --nginx-config FILE  main configuration of the nginx to reload (the one it was built with)
  --nginx-container C  nginx runs in this container, such as clawdeploy-nginx of deploy/compose
  --help

Settings: CLOUDFLARE_API_TOKEN, CLAWDEPLOY_BASE_DOMAIN (claw.a2a.ing), CLAWDEPLOY_ACME_EMAIL (where the authority sends
email; default: none), CLAWDEPLOY_DNS_PROPAGATION_SECONDS (30: wait between setting a DNS record and asking for the
check).
END
}

script=$(readlink -f -- "${BASH_SOURCE[0]}")
# shellcheck source=scripts/lib/common.sh
source "$(dirname -- "$script")/lib/common.sh"
# shellcheck source=scripts/lib/packages.sh
source "$ROOT/scripts/lib/packages.sh"

readonly LETS_ENCRYPT=https://acme-v02.api.letsencrypt.org/directory
readonly LETS_ENCRYPT_STAGING=https://acme-staging-v02.api.letsencrypt.org/directory
# Let's Encrypt certificates are valid for 90 days, and certbot renews them 30 days before they expire.
readonly GOOD_FOR_SECONDS=$((30 * 24 * 3600))
# Debian's certbot takes some seconds; DNS may take minutes to be seen everywhere.
readonly CERTBOT_SECONDS=900

# token_form TOKEN: it looks like a Cloudflare API token.
token_form() { [[ $1 =~ ^[A-Za-z0-9_-]{20,200}$ ]]; }

# token_read: reads the token into TOKEN; empty if the credentials file of an earlier run is used.
token_read() {
  TOKEN=${CLOUDFLARE_API_TOKEN:-}
  # Child processes do not need it; certbot reads the file.
  unset CLOUDFLARE_API_TOKEN
  if [[ -z $TOKEN && ! -s $credentials ]]; then
    [[ -t 0 ]] || die "there is no Cloudflare API token." \
      "Make one with the permission Zone:DNS:Edit for the zone of $domain (Cloudflare: My Profile, API Tokens), then:" \
      "  read -rs CLOUDFLARE_API_TOKEN && export CLOUDFLARE_API_TOKEN && $0"
    read -rsp "Cloudflare API token (not shown): " TOKEN
    printf '\n' >&2
  fi
  [[ -z $TOKEN ]] || token_form "$TOKEN" || die "this is not a Cloudflare API token." \
    "It has only letters, digits, '-' and '_'. A Global API Key is not taken: it may do everything in the account."
}

# credentials_write FILE: writes the file for certbot's plugin, readable by root only.
credentials_write() {
  local temp
  temp=$(umask 077 && mktemp -- "$1.XXXXXX")
  printf '# Written by setup-ssl-wildcard.sh; read at each renewal.\ndns_cloudflare_api_token = %s\n' "$TOKEN" >"$temp"
  mv -f -- "$temp" "$1"
}

# hook_write: writes the hook that certbot runs after each renewal. If the nginx configuration is broken, nginx keeps the old certificate.
hook_write() {
  local temp command
  command=$(printf '%q ' "${nginx[@]}")
  mkdir -p -- "${hook%/*}"
  temp=$(mktemp -- "${hook%/*/*}/hook.XXXXXX")
  cat >"$temp" <<END
#!/bin/sh
# Written by setup-ssl-wildcard.sh: nginx takes the renewed certificate.
set -eu
# certbot runs this for each certificate of the machine.
[ "\${RENEWED_LINEAGE##*/}" = $domain ] || exit 0
$command -t -q
$command -s reload
END
  chmod 0755 "$temp"
  if cmp -s -- "$temp" "$hook"; then rm -f -- "$temp"; else mv -f -- "$temp" "$hook"; fi
}

# nginx_reload: loads the new certificate at once, if an nginx that is set up for it already runs.
nginx_reload() {
  if ! grep -qF "$live/fullchain.pem" <("${nginx[@]}" -T 2>/dev/null); then
    note "nginx does not use it yet; deploy/install.sh sets that up"
  elif RENEWED_LINEAGE=$live "$hook" 2>"$config_dir/hook.log"; then
    note "nginx uses it"
  else
    log_tail "$config_dir/hook.log"
    warn "nginx could not be reloaded with the new certificate; see nginx -t"
  fi
  rm -f -- "$config_dir/hook.log"
}

# certificate_is TEST...: runs an openssl check of the existing certificate.
certificate_is() { openssl x509 -noout -in "$live/fullchain.pem" "$@" >/dev/null 2>&1; }

# certificate_names: its names, one per line, sorted.
certificate_names() {
  openssl x509 -noout -ext subjectAltName -in "$live/fullchain.pem" | grep -o 'DNS:[^,]*' | cut -c 5- | sort
}

# certificate_from AUTHORITY
certificate_from() { grep -qxF "server = $1" "$config_dir/renewal/$domain.conf" 2>/dev/null; }

# certificate_good: it exists, for the right names, from the right authority, and is valid for another month.
certificate_good() {
  [[ -s $live/fullchain.pem && -s $live/privkey.pem ]] || return 1
  certificate_is -checkend "$GOOD_FOR_SECONDS" || { say "the certificate expires within 30 days"; return 1; }
  if [[ $(certificate_names) != "$(printf '%s\n' "${names[@]}" | sort)" ]]; then
    say "the certificate is for other names"
    return 1
  fi
  if ! certificate_from "$server"; then
    say "the certificate is from another authority"
    return 1
  fi
}

# certbot_run: gets the certificate; prints certbot's output if that fails.
certbot_run() {
  local name
  local -a arguments=(certonly --non-interactive --agree-tos --cert-name "$domain" --dns-cloudflare --dns-cloudflare-credentials "$1"
    --dns-cloudflare-propagation-seconds "$propagation" --server "$server" --config-dir "$config_dir"
    --key-type ecdsa --force-renewal --renew-with-new-domains)
  for name in "${names[@]}"; do arguments+=(--domain "$name"); done
  if [[ $config_dir != /etc/letsencrypt ]]; then
    arguments+=(--work-dir "$config_dir/work" --logs-dir "$config_dir/logs")
  fi
  if [[ -n ${CLAWDEPLOY_ACME_EMAIL:-} ]]; then
    arguments+=(--email "$CLAWDEPLOY_ACME_EMAIL" --no-eff-email)
  else
    arguments+=(--register-unsafely-without-email)
  fi
  if [[ $dry_run == yes ]]; then arguments+=(--dry-run); fi
  local -r log=$config_dir/setup.log
  if ! timeout "$CERTBOT_SECONDS" certbot "${arguments[@]}" >"$log" 2>&1 </dev/null; then
    log_tail "$log" 25
    certbot_advice "$log"
  fi
  rm -f -- "$log"
}

# certbot_advice LOG: exits with advice about certbot's error.
certbot_advice() {
  local -a advice=("Its messages are above; the full log is in ${config_dir/#\/etc\/letsencrypt/\/var\/log\/letsencrypt}.")
  if grep -qE 'Invalid (API Token|access token|request headers)|[^0-9](6003|9109|10000)[^0-9]' "$1"; then
    advice=("Cloudflare refuses the token. Make a new one (Zone:DNS:Edit) and run this with CLOUDFLARE_API_TOKEN set.")
  elif grep -q 'Unable to determine zone_id' "$1"; then
    advice=("The token sees no zone that $domain belongs to: check CLAWDEPLOY_BASE_DOMAIN and the zones of the token.")
  elif grep -qiE 'Incorrect TXT record|No TXT record|NXDOMAIN|urn:ietf:params:acme:error:(dns|unauthorized)' "$1"; then
    advice=("The authority did not see the DNS record. Is $domain served by Cloudflare's name servers?"
      "Give the record more time: CLAWDEPLOY_DNS_PROPAGATION_SECONDS=120")
  elif grep -qi 'rateLimited\|too many' "$1"; then
    advice=("The authority's limit is reached: it takes so many certificates a week. Try with --staging until it works.")
  elif grep -qiE 'connection|timed? ?out|resolve' "$1"; then
    advice=("Something could not be reached: the authority at $server, or Cloudflare. Check DNS and proxies here.")
  fi
  rm -f -- "$1"
  die "there is no certificate for $domain." "${advice[@]}"
}

main() {
  token_read
  packages_ensure certbot python3-certbot-dns-cloudflare openssl
  mkdir -p -- "$config_dir"

  if [[ $dry_run == yes ]]; then
    local temp
    temp=$(umask 077 && mktemp -d)
    # shellcheck disable=SC2064 # the value as it is now
    trap "rm -rf -- '$temp'" EXIT
    if [[ -n $TOKEN ]]; then credentials_write "$temp/cloudflare.ini"; else cp -- "$credentials" "$temp/"; fi
    certbot_run "$temp/cloudflare.ini"
    say "it works: $server would give a certificate for ${names[*]}"
    return
  fi

  # Keep it even if the rest fails, so that the next run need not ask again.
  if [[ -n $TOKEN ]]; then credentials_write "$credentials"; else chmod 0600 "$credentials"; fi
  if certificate_good; then
    hook_write
    say "there is already a valid certificate for ${names[*]}, in $live"
    note "it $(openssl x509 -noout -enddate -in "$live/fullchain.pem" | sed 's/notAfter=/expires on /'); certbot renews it"
    return
  fi
  if [[ $server == "$LETS_ENCRYPT_STAGING" ]] && certificate_from "$LETS_ENCRYPT" && certificate_is -checkend 0; then
    die "there is a certificate that browsers trust; a test certificate would replace it." "To test, use --dry-run."
  fi
  say "asking $server for ${names[*]}"
  certbot_run "$credentials"
  certificate_good || die "certbot succeeded, but there is no valid certificate in $live."
  hook_write
  say "the certificate is in $live"
  nginx_reload
}

domain=${CLAWDEPLOY_BASE_DOMAIN:-claw.a2a.ing} propagation=${CLAWDEPLOY_DNS_PROPAGATION_SECONDS:-30}
server='' staging=no dry_run=no config_dir=/etc/letsencrypt nginx_config='' nginx_container=''
also=()
arguments=("$@")
while (($#)); do
  case $1 in
    --staging) staging=yes ;;
    --dry-run) dry_run=yes ;;
    --server | --config-dir | --nginx-config | --nginx-container | --also)
      [[ -n ${2:-} && $2 != -* ]] || usage_error "$1 needs a value"
      case $1 in
        --server) server=$2 ;;
        --config-dir) config_dir=$2 ;;
        --nginx-config) nginx_config=$2 ;;
        --nginx-container) nginx_container=$2 ;;
        --also) also+=("$2") ;;
      esac
      shift
      ;;
    -h | --help)
      usage
      exit 0
      ;;
    *) usage_error "unknown argument: $1" ;;
  esac
  shift
done
for name in "$domain" "${also[@]}"; do
  [[ $name =~ ^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}$ ]] || usage_error "this is not a domain: $name"
done
readonly names=("$domain" "*.$domain" "${also[@]}")
[[ $propagation =~ ^[0-9]{1,4}$ ]] || usage_error "CLAWDEPLOY_DNS_PROPAGATION_SECONDS is not a number of seconds: $propagation"
[[ -z $server || $staging == no ]] || usage_error "--staging and --server exclude each other"
[[ $server =~ ^(https://[^[:space:]]+)?$ ]] || usage_error "--server needs an https:// address"
[[ $config_dir == /* && $nginx_config =~ ^(/.*)?$ ]] || usage_error "--config-dir and --nginx-config need absolute paths"
if [[ -z $server ]]; then
  server=$LETS_ENCRYPT
  if [[ $staging == yes || $dry_run == yes ]]; then server=$LETS_ENCRYPT_STAGING; fi
fi
readonly credentials=$config_dir/cloudflare.ini live=$config_dir/live/$domain
readonly hook=$config_dir/renewal-hooks/deploy/clawdeploy-nginx
nginx=(nginx)
if [[ -n $nginx_container ]]; then
  [[ $nginx_container =~ ^[A-Za-z0-9][A-Za-z0-9_.-]*$ ]] || usage_error "this is not a container name: $nginx_container"
  nginx=(docker exec "$nginx_container" nginx)
  # Where deploy/compose has it.
  nginx_config=${nginx_config:-/etc/clawdeploy/nginx/nginx.conf}
fi
if [[ -n $nginx_config ]]; then nginx+=(-c "$nginx_config"); fi

need_root "${arguments[@]}"
main
