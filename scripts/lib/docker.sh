# shellcheck shell=bash
# The Docker engine. Needs common.sh and packages.sh.

# The engine that all scripts use; the docker command reads it too.
export DOCKER_HOST=${CLAWDEPLOY_DOCKER_HOST:-${DOCKER_HOST:-unix:///var/run/docker.sock}}

engine_answers() { timeout 10 docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

# engine_settled: the engine answers, or the one that this script started has exited.
engine_settled() {
  engine_answers || { [[ -f $STATE/run/dockerd.pid ]] && ! running dockerd; }
}

image_exists() { docker image inspect "$1" >/dev/null 2>&1; }

# engine_ensure: uses the engine that answers. If none does, starts one: the service if systemd runs, otherwise our own
# dockerd, which engine_stop stops again.
engine_ensure() {
  packages_ensure docker.io iptables ca-certificates
  if engine_answers; then return; fi
  if [[ $DOCKER_HOST != unix:///var/run/docker.sock ]]; then
    die "no Docker engine answers at $DOCKER_HOST." "Start it, or unset CLAWDEPLOY_DOCKER_HOST and DOCKER_HOST."
  fi
  if [[ -d /run/systemd/system ]]; then
    say "starting the docker service"
    systemctl start docker.service || die "the docker service does not start." "journalctl -u docker says why."
  elif ! running dockerd; then
    say "starting dockerd (no engine answers, no systemd)"
    # Left behind by a killed engine; a running one would have answered or would still hold it.
    if [[ -s /var/run/docker.pid ]] && ! kill -0 "$(cat /var/run/docker.pid)" 2>/dev/null; then
      rm -f /var/run/docker.pid
    fi
    spawn dockerd dockerd --log-level warn
  fi
  wait_for 60 engine_settled || true
  if ! engine_answers; then
    log_tail "$STATE/log/dockerd.log"
    die "the Docker engine does not answer." \
      "It needs a kernel with overlayfs, cgroups and iptables, and permission to use them (most containers lack it)."
  fi
}

# engine_stop: stops the engine only if engine_ensure started it. Its containers stop with it.
engine_stop() {
  if running dockerd; then
    say "stopping the dockerd that this script started"
    # It stops its containers first, and a gateway may take a minute to finish its work.
    pid_stop "$STATE/run/dockerd.pid" 90
  fi
}
