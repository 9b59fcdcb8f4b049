#!/usr/bin/env bats
# The units and the sudoers file of deploy/, checked by systemd and sudo. systemd does not need to run.

bats_require_minimum_version 1.5.0

DEPLOY=$BATS_TEST_DIRNAME/../../deploy

setup_file() {
  [[ $EUID -eq 0 ]] || skip "needs root"
  STATE=$BATS_FILE_TMPDIR/state
  source "$BATS_TEST_DIRNAME/../lib/common.sh"
  source "$BATS_TEST_DIRNAME/../lib/packages.sh"
  packages_ensure systemd sudo
}

# A root file system with systemd's units, ours, and their programs.
setup() {
  FAKE=$BATS_TEST_TMPDIR/root
  UNITS=$FAKE/etc/systemd/system
  mkdir -p "$UNITS" "$FAKE/usr/local/bin" "$FAKE/lib/systemd"
  cp -a /lib/systemd/system "$FAKE/lib/systemd/"
  cp "$DEPLOY"/systemd/*.service "$DEPLOY"/systemd/*.target "$UNITS/"
  install -m 0755 /bin/true "$FAKE/usr/local/bin/clawdeploy-api"
  install -m 0755 /bin/true "$FAKE/usr/local/bin/clawdeploy-worker"
  install -D -m 0755 /bin/true "$FAKE/usr/local/sbin/clawdeploy-firewall"
}

# verify UNIT: the unit has no warnings.
verify() {
  run systemd-analyze verify --man=no --root="$FAKE" "$1"
  [[ $status -eq 0 && -z $output ]] || { echo "$output"; return 1; }
}

# exposure UNIT TENTHS: the exposure rating, in tenths from 0 to 100, is at most this.
exposure() {
  run systemd-analyze security --offline=true --root="$FAKE" --threshold="$2" "$1"
  [[ $status -eq 0 ]] || { echo "$output" | grep -E '✗|Overall'; return 1; }
}

@test "systemd has nothing to say against the units" {
  verify clawdeploy-api.service
  verify clawdeploy-worker@1.service
  verify clawdeploy.target
  verify clawdeploy-firewall.service
}

@test "a slip in a unit would be seen" {
  sed -i s/NoNewPrivileges/NoNewPrivilege/ "$UNITS/clawdeploy-api.service"
  run verify clawdeploy-api.service
  [[ $status -ne 0 && $output == *NoNewPrivilege* ]]
}

@test "the API is among the least exposed services that there are, and the worker little more" {
  exposure clawdeploy-api.service 15
  exposure clawdeploy-worker@1.service 30
}

@test "the API has no way to Docker or to the instances' files" {
  unit=$UNITS/clawdeploy-api.service
  grep -qx 'User=clawdeploy-api' "$unit"
  grep -qx 'CapabilityBoundingSet=' "$unit"
  grep -qE '^InaccessiblePaths=.*-/run/docker.sock .*-/data/clawdeploy' "$unit"
  run grep -E 'SupplementaryGroups|ReadWritePaths' "$unit"
  [[ $status -ne 0 ]]
}

@test "the drop-in gives the workers a name of their own, and takes back what sudo does not bear" {
  mkdir "$UNITS/clawdeploy-worker@.service.d"
  cp "$DEPLOY/systemd/unprivileged-worker.conf" "$UNITS/clawdeploy-worker@.service.d/"
  verify clawdeploy-worker@1.service
  run systemd-analyze security --offline=true --root="$FAKE" --no-pager clawdeploy-worker@1.service
  [[ $output == *"✗ NoNewPrivileges="* && $output == *"✓ User=/DynamicUser="* ]]
}

@test "users and directories are in the form that systemd reads" {
  run systemd-sysusers --root="$FAKE" --dry-run "$(readlink -f "$DEPLOY")/systemd/clawdeploy.sysusers.conf"
  [[ $status -eq 0 ]]
  systemd-tmpfiles --root="$FAKE" --create "$(readlink -f "$DEPLOY")/systemd/clawdeploy.tmpfiles.conf"
  [[ $(stat -c %a "$FAKE/data/clawdeploy") == 711 && $(stat -c %a "$FAKE/etc/clawdeploy") == 711 ]]
}

@test "sudo lets a worker reload nginx, and nothing that looks like it" {
  visudo -qcf "$DEPLOY/sudoers/clawdeploy"
  [[ $(grep -c NOPASSWD "$DEPLOY/sudoers/clawdeploy") == 1 ]]
  # sudo reads only /etc/sudoers.d, where a test must not replace an installed file.
  [[ ! -e /etc/sudoers.d/clawdeploy ]] || skip "ClawDeploy is installed here"
  id clawdeploy-worker &>/dev/null && skip "the user is there already"
  useradd --system --no-create-home clawdeploy-worker
  install -m 0440 "$DEPLOY/sudoers/clawdeploy" /etc/sudoers.d/clawdeploy
  list() { sudo -n -l -U clawdeploy-worker "$@" >/dev/null 2>&1; }
  good=0 bad=0
  list /usr/sbin/nginx -s reload || good=$?
  for arguments in '-s stop' '-s reload -c /tmp/x' '-c /tmp/x -s reload' '-g x -s reload' '-t' ''; do
    # shellcheck disable=SC2086 # words, as they are
    if list /usr/sbin/nginx $arguments; then bad=$arguments; fi
  done
  if list /bin/sh; then bad=sh; fi
  rm -f /etc/sudoers.d/clawdeploy
  userdel clawdeploy-worker
  [[ $good == 0 ]]
  [[ $bad == 0 ]]
}
