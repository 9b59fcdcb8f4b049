# shellcheck shell=bash
# Removes an installation. Needs changes.sh, services.sh, sysctls.sh and programs.sh.
#
# shellcheck disable=SC2034,SC2154 # install.sh sets what is read here, and reads what is set

uninstall() {
  local data deployment
  data=$(setting CLAWDEPLOY_DATA_DIR /data/clawdeploy)
  deployment=$(setting CLAWDEPLOY_DEPLOYMENT clawdeploy)
  if [[ $purge == yes && $dry_run == no ]]; then purge_confirm "$data"; fi

  if with_systemd && systemctl is-active --quiet 'clawdeploy*'; then
    # Workers hand back their jobs.
    change "stopping ClawDeploy" systemctl stop clawdeploy.target 'clawdeploy-worker@*' clawdeploy-api.service
  fi
  remove "$UNITS"/clawdeploy.target.wants "$UNITS"/multi-user.target.wants/clawdeploy.target \
    "$UNITS"/clawdeploy-api.service{,.d} "$UNITS"/clawdeploy-worker@.service{,.d} "$UNITS/clawdeploy.target" \
    /usr/lib/sysusers.d/clawdeploy.conf /usr/lib/tmpfiles.d/clawdeploy.conf /etc/sudoers.d/clawdeploy \
    "$BIN"/clawdeploy-{api,worker}
  nginx_site_remove
  # Without --purge, instances keep running, so the firewall rules and the kernel's limits stay.
  if [[ $purge == yes ]]; then sysctls_remove; fi
  if [[ $purge == yes && $dry_run == no ]]; then firewall_remove; fi
  if with_systemd && [[ $dry_run == no ]]; then systemctl daemon-reload; fi

  if [[ $purge == yes ]]; then
    purge_all "$data" "$deployment"
    say "ClawDeploy and its data are removed; packages and certificates stay"
  else
    say "ClawDeploy is uninstalled. What stays:"
    note "settings and the key in $ETC, the instances' files in $data, the database clawdeploy, Redis in $REDIS_DATA,"
    note "the instances' containers (docker ps --filter label=clawdeploy.deployment=$deployment) and packages."
    note "deploy/install.sh uses all that again; deploy/install.sh --uninstall --purge removes it."
  fi
}

# purge_confirm DATA
purge_confirm() {
  if [[ $yes == yes ]]; then return; fi
  [[ -t 0 ]] || die "--purge removes every instance with its data." "To confirm: --uninstall --purge --yes"
  local answer
  read -rp "Remove every instance with its data in $1, the database and the key? [y/N] " answer
  [[ $answer == [yY]* ]] || die "nothing was removed."
}

# purge_all DATA DEPLOYMENT
purge_all() {
  if docker version >/dev/null 2>&1; then
    purge_docker "$2"
  elif have docker; then
    todo+=("no Docker engine answers: remove the containers and networks with the label clawdeploy.deployment=$2 by hand")
    warn "no Docker engine answers: containers with the label clawdeploy.deployment=$2 stay"
  fi
  local url
  url=$(env_get "$API_ENV" CLAWDEPLOY_DATABASE_URL || true)
  if [[ $url == postgres://clawdeploy:*@127.0.0.1:*/clawdeploy ]]; then
    change "removing the database clawdeploy and its role" purge_database
  elif [[ -n $url ]]; then
    warn "the database of CLAWDEPLOY_DATABASE_URL is not on this machine's own Postgres: it stays"
    note "it belongs to $1, which is removed: workers with another directory stand by until you run clawdeploy-worker adopt"
  fi
  if [[ -f $REDIS_CONF ]] && with_systemd; then
    change "stopping its Redis" systemctl disable --quiet --now redis-server@clawdeploy
  fi
  remove "$REDIS_CONF" "$REDIS_DATA" /var/log/redis/redis-server-clawdeploy.log* "$ETC" /var/lib/clawdeploy "$1"
  local name
  for name in clawdeploy-api clawdeploy-worker; do
    if getent passwd "$name" >/dev/null; then change "removing the user $name" userdel "$name"; fi
  done
  # Last, because it contains the log of this script.
  remove "$STATE"
}

# purge_docker DEPLOYMENT: removes the containers and networks of this installation, and no others.
purge_docker() {
  local -a ids=()
  mapfile -t ids < <(docker ps --all --quiet --filter "label=clawdeploy.deployment=$1")
  if ((${#ids[@]})); then change "removing ${#ids[@]} container(s)" docker rm --force --volumes "${ids[@]}"; fi
  mapfile -t ids < <(docker network ls --quiet --filter "label=clawdeploy.deployment=$1")
  if ((${#ids[@]})); then change "removing ${#ids[@]} network(s)" docker network rm "${ids[@]}"; fi
}

purge_database() {
  as_postgres -c 'DROP DATABASE IF EXISTS clawdeploy' && as_postgres -c 'DROP ROLE IF EXISTS clawdeploy' || return 1
  # The role belongs to the whole server, and stays if another database uses it.
  as_postgres -c 'DROP ROLE IF EXISTS clawdeploy_tenant' 2>/dev/null || true
}
