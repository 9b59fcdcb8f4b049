#!/usr/bin/env bash
# Renders nginx's configuration for ClawDeploy from the templates beside this script, to standard output.
set -Eeuo pipefail

usage() {
  cat <<'END'
Usage: deploy/nginx/render.sh --base-domain DOMAIN --site HOST --certificate FILE --key FILE --map FILE [OPTION...]
       deploy/nginx/render.sh --empty-map

Without --standalone, the output belongs in nginx's `http` block, as a file in sites-available. nginx then also needs
`worker_shutdown_timeout 15m;` outside of it, so that old workers with open WebSockets end eventually.

  --base-domain DOMAIN   instances are at {id}.DOMAIN (CLAWDEPLOY_BASE_DOMAIN)
  --site HOST            host name of the panel
  --certificate FILE     certificate for HOST, DOMAIN and *.DOMAIN, with its chain
  --key FILE             its key
  --map FILE             the worker's map (CLAWDEPLOY_NGINX_MAP); must exist: --empty-map prints an initial one
  --api ADDRESS          where the API listens (127.0.0.1:8080)
  --probe ADDRESS        where nginx tells the worker which map it has loaded (127.0.0.1:8079)
  --https-port PORT      (443)
  --http-port PORT       (80); 0: no redirect from HTTP
  --listen ADDRESS       address to listen on, such as 127.0.0.1 or '[::]'; repeatable (all of IPv4)
  --hsts SECONDS         tell browsers to use HTTPS only, for this long; only with a certificate that they trust
                         (default: not sent)
  --standalone DIR       render a whole configuration, with pid file and temporary files in DIR
  --error-log FILE       with --standalone: error log (stderr)
  --user NAME            with --standalone: user of the nginx workers, if the master is root
  --shutdown-timeout T   with --standalone: when old nginx workers end despite open connections (15m)
  --workers N            with --standalone: number of nginx workers (auto)
  --help
END
}

# In bash 5.2 a `&` in what is put in the place of a pattern would stand for what was matched.
shopt -u patsub_replacement 2>/dev/null || true

here=$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")" && pwd -P)

fail() {
  printf 'error: %s\n' "$1" >&2
  exit 2
}

empty_map() {
  cat <<'END'
map "" $clawdeploy_generation {
  default 0;
}
map $instance_id $clawdeploy_port {
  default 0;
}
END
}

# need NAME VALUE PATTERN: a value that can stand in a configuration as it is.
need() {
  [[ -n $2 ]] || fail "--$1 is missing; see --help"
  [[ $2 =~ $3 ]] || fail "--$1 cannot be '$2'"
}

base='' site='' certificate='' key='' map='' api=127.0.0.1:8080 probe=127.0.0.1:8079 https_port=443 http_port=80
hsts='' standalone='' error_log=stderr user='' shutdown=15m workers=auto
listen=()
while (($#)); do
  case $1 in
    -h | --help)
      usage
      exit 0
      ;;
    --empty-map)
      empty_map
      exit 0
      ;;
  esac
  (($# >= 2)) || fail "$1 needs a value, or is unknown; see --help"
  case $1 in
    --base-domain) base=$2 ;;
    --site) site=$2 ;;
    --certificate) certificate=$2 ;;
    --key) key=$2 ;;
    --map) map=$2 ;;
    --api) api=$2 ;;
    --probe) probe=$2 ;;
    --https-port) https_port=$2 ;;
    --http-port) http_port=$2 ;;
    --listen) listen+=("$2") ;;
    --hsts) hsts=$2 ;;
    --standalone) standalone=$2 ;;
    --error-log) error_log=$2 ;;
    --user) user=$2 ;;
    --shutdown-timeout) shutdown=$2 ;;
    --workers) workers=$2 ;;
    *) fail "unknown argument: $1; see --help" ;;
  esac
  shift 2
done

readonly name='^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$'
readonly path='^/[A-Za-z0-9._/@+=,-]+$' number='^[0-9]{1,9}$'
readonly address='^([0-9.]+|\[[0-9a-f:]+\]|[a-z0-9-]+):[0-9]{1,5}$' host='^([0-9.]+|\[[0-9a-f:]+\])$'
need base-domain "$base" "$name"
need site "$site" "$name"
[[ $site != "$base" ]] || fail "--site and --base-domain must differ: the bare domain only leads to the site"
[[ $site != *."$base" || ${site%."$base"} != [a-z]??????????? ]] || fail "--site must not look like an instance's name"
need certificate "$certificate" "$path"
need key "$key" "$path"
need map "$map" "$path"
need api "$api" "$address"
need probe "$probe" "$address"
need https-port "$https_port" "$number"
need http-port "$http_port" "$number"
need workers "$workers" '^([0-9]{1,3}|auto)$'
need shutdown-timeout "$shutdown" '^[0-9]+[smhd]$'
if [[ -n $hsts ]]; then need hsts "$hsts" "$number"; fi
if [[ -n $standalone ]]; then need standalone "$standalone" "$path"; fi
if [[ -n $user ]]; then need user "$user" '^[a-z_][a-z0-9_-]*$'; fi
if [[ $error_log != stderr ]]; then need error-log "$error_log" "$path"; fi
if ((${#listen[@]} == 0)); then listen=(0.0.0.0); fi

# lines FORMAT: a line for each address that is listened on.
lines() {
  local one
  for one in "${listen[@]}"; do
    need listen "$one" "$host"
    # shellcheck disable=SC2059 # the format is this script's own
    printf "  $1\n" "$one"
  done
}

# template NAME: a template's text, with what was said in the place of @NAMES@.
template() {
  local text suffix=''
  if [[ $https_port != 443 ]]; then suffix=:$https_port; fi
  text=$(cat -- "$here/templates/$1.conf")
  # Parts that hold names themselves come first.
  if [[ $text == *@TLS@* ]]; then text=${text//@TLS@/$(template tls)}; fi
  if [[ $text == *@PAGE@* ]]; then text=${text//@PAGE@/$(template page)}; fi
  if [[ $text == *@ASK@* ]]; then text=${text//@ASK@/$(template ask)}; fi
  if [[ $text == *@PANEL@* ]]; then text=${text//@PANEL@/$(template panel)}; fi
  if [[ $text == *@NOBODY@* ]]; then text=${text//@NOBODY@/$(template nobody)}; fi
  text=${text//@LISTEN_HTTPS@/$(lines "listen %s:$https_port ssl http2;")}
  text=${text//@LISTEN_HTTP@/$(lines "listen %s:$http_port;")}
  text=${text//@LISTEN_DEFAULT@/$(lines "listen %s:$https_port ssl http2 default_server;")}
  text=${text//@HSTS@/${hsts:+  add_header Strict-Transport-Security \"max-age=$hsts\" always;}}
  text=${text//@BASE_PATTERN@/${base//./\\.}}
  text=${text//@BASE@/$base}
  text=${text//@SITE@/$site}
  text=${text//@PORT_SUFFIX@/$suffix}
  text=${text//@CERTIFICATE@/$certificate}
  text=${text//@KEY@/$key}
  text=${text//@MAP@/$map}
  text=${text//@API@/$api}
  text=${text//@PROBE@/$probe}
  printf '%s\n' "$text"
}

servers() {
  template common
  if [[ $http_port != 0 ]]; then template redirect; fi
  template base
  template site
  template instances
}

if [[ -z $standalone ]]; then
  printf '# Rendered by deploy/nginx/render.sh; change the templates or its arguments instead.\n'
  servers
else
  text=$(template standalone)
  text=${text//@WORKERS@/$workers}
  text=${text//@SHUTDOWN@/$shutdown}
  text=${text//@ERROR_LOG@/$error_log}
  text=${text//@USER@/${user:+user $user;}}
  text=${text//@STATE@/$standalone}
  printf '%s\n' "${text//@SERVERS@/$(servers)}"
fi
