# shellcheck shell=bash
# ClawDeploy's own parts of an installation: keys, programs, units, the first administrator. Needs changes.sh.
#
# shellcheck disable=SC2034,SC2154 # install.sh sets what is read here, and reads what is set

readonly BIN=/usr/local/bin UNITS=/etc/systemd/system FIREWALL=/usr/local/sbin/clawdeploy-firewall
# What has to be restarted or reloaded.
restart_api='' restart_workers='' reload_units=''
# Password of the administrator, if this run created one.
password=''

# worker_has_name: workers run as their own user, because this run or an earlier one asked for it.
worker_has_name() { [[ $unprivileged == yes || -f $UNITS/clawdeploy-worker@.service.d/unprivileged.conf ]]; }

# keys_ensure: makes sure that the key that seals secrets exists, in one copy for each user who reads it.
keys_ensure() {
  local owner=root key
  if worker_has_name; then owner=clawdeploy-worker; fi
  setting_ensure "$API_ENV" CLAWDEPLOY_KEY_FILE "$ETC/api.key"
  setting_ensure "$WORKER_ENV" CLAWDEPLOY_KEY_FILE "$ETC/worker.key"
  key=$(umask 077 && mktemp)
  if [[ -s $ETC/worker.key ]]; then
    cat -- "$ETC/worker.key" >"$key"
  elif [[ -s $ETC/api.key ]]; then
    cat -- "$ETC/api.key" >"$key"
  else
    head -c 32 /dev/urandom | base64 >"$key"
    todo+=("keep a copy of $ETC/worker.key apart from the database backup: nothing else opens what it has sealed")
  fi
  file_ensure "$key" "$ETC/api.key" 0600 clawdeploy-api:clawdeploy-api
  file_ensure "$key" "$ETC/worker.key" 0600 "$owner:$owner"
  rm -f -- "$key"
}

programs_copy() {
  local before=$changes
  file_ensure "$binaries/clawdeploy-api" "$BIN/clawdeploy-api" 0755
  if ((changes > before)); then restart_api=yes; fi
  before=$changes
  file_ensure "$binaries/clawdeploy-worker" "$BIN/clawdeploy-worker" 0755
  if ((changes > before)); then restart_workers=yes; fi
}

units_install() {
  local -r before=$changes from=$ROOT/deploy/systemd
  local data temp
  file_ensure "$from/clawdeploy-api.service" "$UNITS/clawdeploy-api.service" 0644
  file_ensure "$from/clawdeploy-worker@.service" "$UNITS/clawdeploy-worker@.service" 0644
  file_ensure "$from/clawdeploy.target" "$UNITS/clawdeploy.target" 0644
  file_ensure "$from/clawdeploy.sysusers.conf" /usr/lib/sysusers.d/clawdeploy.conf 0644
  file_ensure "$from/clawdeploy.tmpfiles.conf" /usr/lib/tmpfiles.d/clawdeploy.conf 0644
  if [[ $unprivileged == yes ]]; then
    file_ensure "$from/unprivileged-worker.conf" "$UNITS/clawdeploy-worker@.service.d/unprivileged.conf" 0644
    visudo -qcf "$ROOT/deploy/sudoers/clawdeploy" || die "deploy/sudoers/clawdeploy is not a valid sudoers file."
    file_ensure "$ROOT/deploy/sudoers/clawdeploy" /etc/sudoers.d/clawdeploy 0440
  fi
  data=$(setting CLAWDEPLOY_DATA_DIR /data/clawdeploy)
  if [[ $data != /data/clawdeploy ]]; then
    temp=$(mktemp)
    printf '[Service]\nReadWritePaths=%s\n' "$data" >"$temp"
    file_ensure "$temp" "$UNITS/clawdeploy-worker@.service.d/data.conf" 0644
    printf '[Service]\nInaccessiblePaths=-%s\n' "$data" >"$temp"
    file_ensure "$temp" "$UNITS/clawdeploy-api.service.d/data.conf" 0644
    rm -f -- "$temp"
  fi
  if ((changes > before)); then reload_units=yes restart_api=yes restart_workers=yes; fi
}

# firewall VERB: runs deploy/firewall.sh with the workers' settings.
firewall() (
  local name
  for name in CLAWDEPLOY_FIREWALL CLAWDEPLOY_NETWORK_POOL CLAWDEPLOY_DEPLOYMENT CLAWDEPLOY_FIREWALL_ALLOW \
    CLAWDEPLOY_FIREWALL_DNS CLAWDEPLOY_FIREWALL_BACKEND CLAWDEPLOY_FIREWALL_WATCH_SECONDS; do
    export "$name=$(setting "$name" '')"
  done
  exec bash "$ROOT/deploy/firewall.sh" "$1"
)

# firewall_ensure: applies the rules now, if this machine allows it, and at every boot.
firewall_ensure() {
  local -r before=$changes
  file_ensure "$ROOT/deploy/firewall.sh" "$FIREWALL" 0755
  file_ensure "$ROOT/deploy/systemd/clawdeploy-firewall.service" "$UNITS/clawdeploy-firewall.service" 0644
  if ! unit_enabled clawdeploy-firewall.service; then
    change "enabling clawdeploy-firewall.service at boot" unit_enable clawdeploy-firewall.service
  fi
  if [[ $dry_run == yes ]] || ! firewall check; then
    change "applying the firewall rules of the instances (deploy/firewall.sh print shows them)" firewall_apply
  fi
  if with_systemd && { ((changes > before)) || ! systemctl --quiet is-active clawdeploy-firewall.service; } &&
    [[ $(setting CLAWDEPLOY_FIREWALL on) != off ]]; then
    change "starting to watch the firewall rules (clawdeploy-firewall.service)" firewall_watch
  fi
}

firewall_apply() {
  if ! firewall apply; then
    todo+=("apply the firewall rules of the instances: $FIREWALL apply (its message is above)")
  fi
}

firewall_watch() {
  systemctl daemon-reload
  if ! systemctl restart clawdeploy-firewall.service; then
    todo+=("start clawdeploy-firewall.service: journalctl -u clawdeploy-firewall says why it does not run")
  fi
}

firewall_remove() {
  if with_systemd; then systemctl stop clawdeploy-firewall.service 2>/dev/null || true; fi
  if { have iptables || have nft; } && ! firewall remove; then warn "the firewall rules of the instances could not be removed"; fi
  remove "$UNITS/multi-user.target.wants/clawdeploy-firewall.service" "$UNITS/clawdeploy-firewall.service" "$FIREWALL"
}

# as_api ARGUMENT...: runs a command of the API's program with the API's user and settings.
as_api() (
  set -a
  # shellcheck disable=SC1090 # what setting_ensure wrote
  source "$API_ENV"
  set +a
  cd /
  exec setpriv --reuid=clawdeploy-api --regid=clawdeploy-api --clear-groups --no-new-privs --bounding-set=-all \
    --inh-caps=-all "$BIN/clawdeploy-api" "$@"
)

# admin_first: migrates the database and creates the first administrator.
admin_first() {
  local said new
  if [[ $dry_run == yes ]]; then
    if [[ ! -f $API_ENV ]]; then change "creating the administrator $admin_email"; fi
    return
  fi
  new=$(random_hex 12)
  said=$(as_api user create --email "$admin_email" --name Admin --admin --password-stdin <<<"$new" 2>&1) ||
    die "the database could not be set up." "$said"
  if [[ $said == *" was created "* ]]; then
    password=$new
    change "creating the administrator $admin_email" true
  fi
}

# workers_enabled: numbers of the workers that start at boot.
workers_enabled() {
  local file
  for file in "$UNITS"/clawdeploy.target.wants/clawdeploy-worker@*.service; do
    [[ ! -L $file ]] || sed -E 's/.*@([0-9]+)\.service/\1/' <<<"$file"
  done | sort -n
}

# programs_run: starts what is down and restarts what changed, the API first: it migrates the database, and workers of the
# previous version keep working with that.
programs_run() {
  local number last enabled
  enabled=$(workers_enabled)
  if [[ -z $workers ]]; then workers=${enabled##*$'\n'}; fi
  workers=${workers:-1}
  local -a wanted=(clawdeploy-api.service) workers_wanted=()
  for ((number = 1; number <= workers; number++)); do workers_wanted+=("clawdeploy-worker@$number.service"); done
  wanted+=("${workers_wanted[@]}" clawdeploy.target)

  local unit
  for unit in "${wanted[@]}"; do
    if ! unit_enabled "$unit"; then change "enabling $unit at boot" unit_enable "$unit"; fi
  done
  last=$workers
  for number in $enabled; do
    if ((number > last)); then change "stopping worker $number" worker_end "$number"; fi
  done
  if [[ $dry_run == yes ]]; then return; fi
  if ! with_systemd; then
    todo+=("start it: no systemd runs here. With systemd: systemctl daemon-reload && systemctl start clawdeploy.target")
    return
  fi
  if [[ -n $reload_units ]]; then systemctl daemon-reload; fi
  if [[ -n $restart_api ]]; then systemctl restart clawdeploy-api.service; fi
  if [[ -n $restart_workers ]]; then systemctl restart "${workers_wanted[@]}"; fi
  systemctl start clawdeploy.target "${wanted[@]}"
  wait_for 30 as_api healthcheck ||
    die "the API did not become ready." "$(as_api healthcheck 2>&1 || true)" "journalctl -u clawdeploy-api says more."
  standby_tell
}

# standby_tell: a worker whose database, data directory and engine do not belong together does nothing, so report it.
standby_tell() {
  have curl || return 0
  local -r url=http://$(env_get "$API_ENV" CLAWDEPLOY_LISTEN || printf 127.0.0.1:8080)/readyz
  local said
  for _ in {1..20}; do
    said=$(curl --silent --max-time 5 "$url" || true)
    if [[ ! $said =~ \"alive\":0 ]]; then break; fi
    sleep 0.5
  done
  if [[ $said =~ \"standby\":[1-9] ]]; then
    todo+=("workers stand by: their database, data directory and Docker engine do not belong together; journalctl -u 'clawdeploy-worker@*' says what to do")
  fi
}

# The same links as `systemctl enable` creates. If systemd does not run, there may be no systemctl either.
unit_link() {
  local name=$1
  if [[ $name == clawdeploy.target || $name == clawdeploy-firewall.service ]]; then
    printf '%s\n' "$UNITS/multi-user.target.wants/$name"
  else
    printf '%s\n' "$UNITS/clawdeploy.target.wants/$name"
  fi
}

unit_enabled() { [[ -L $(unit_link "$1") ]]; }

unit_enable() {
  local link
  link=$(unit_link "$1")
  mkdir -p -- "${link%/*}"
  ln -sfn -- "$UNITS/$(sed -E 's/@[0-9]+/@/' <<<"$1")" "$link"
  reload_units=yes
}

worker_end() {
  if with_systemd; then systemctl stop "clawdeploy-worker@$1.service"; fi
  rm -f -- "$(unit_link "clawdeploy-worker@$1.service")"
}
