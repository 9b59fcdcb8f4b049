#!/usr/bin/env bats
# deploy/lib/sysctls.sh, on a directory that stands for /proc/sys.
#
# shellcheck disable=SC2034,SC2154 # the libraries read and set them

bats_require_minimum_version 1.5.0

setup() {
  [[ $EUID -eq 0 ]] || skip "needs root"
  PROC_SYS=$BATS_TEST_TMPDIR/proc SYSCTL_CONF=$BATS_TEST_TMPDIR/etc/60-clawdeploy.conf dry_run=no
  source "$BATS_TEST_DIRNAME/../lib/common.sh"
  source "$BATS_TEST_DIRNAME/../../deploy/lib/changes.sh"
  source "$BATS_TEST_DIRNAME/../../deploy/lib/sysctls.sh"
  mkdir -p "$PROC_SYS"/{kernel/keys,fs/inotify,net/ipv4/neigh/default}
  now kernel.keys.maxkeys 200
  now kernel.keys.maxbytes 20000
  now fs.inotify.max_user_instances 128
  now fs.inotify.max_user_watches 192536
  now fs.file-max 9223372036854775807
  now kernel.pid_max 4194304
  now net.ipv4.neigh.default.gc_thresh3 1024
}

now() { printf '%s\n' "$2" >"$(sysctl_path "$1")"; }
value() { cat -- "$(sysctl_path "$1")"; }

@test "what is too low is raised, now and at every boot" {
  sysctls_ensure
  [[ $(value fs.inotify.max_user_instances) == 8192 && $(value kernel.keys.maxkeys) == 20000 ]]
  [[ $(value net.ipv4.neigh.default.gc_thresh3) == 8192 && $(value kernel.pid_max) == 4194304 ]]
  grep -qx 'fs.inotify.max_user_instances = 8192' "$SYSCTL_CONF"
  [[ $changes == 6 && ${#todo[@]} == 0 ]]
}

@test "nothing is lowered, not even at the next boot" {
  now fs.inotify.max_user_watches 10485760
  sysctls_ensure
  [[ $(value fs.inotify.max_user_watches) == 10485760 && $(value fs.file-max) == 9223372036854775807 ]]
  run -1 grep -E 'max_user_watches|file-max' "$SYSCTL_CONF"
}

@test "a second run changes nothing" {
  sysctls_ensure
  changes=0
  sysctls_ensure
  [[ $changes == 0 ]]
}

@test "a limit that the kernel does not have is left out" {
  rm -r "$PROC_SYS/kernel/keys"
  sysctls_ensure
  run -1 grep keys "$SYSCTL_CONF"
  [[ $(value fs.inotify.max_user_instances) == 8192 ]]
}

@test "a dry run changes nothing" {
  dry_run=yes
  sysctls_ensure
  [[ $(value fs.inotify.max_user_instances) == 128 && ! -e $SYSCTL_CONF && $changes -gt 1 ]]
}

@test "where the kernel's limits cannot be changed, what is too low is told and nothing is written" {
  unshare --mount true || skip "no mount namespaces here"
  run unshare --mount bash -euc '
    mount --bind "$2" "$2"; mount -o remount,bind,ro "$2"
    ROOT=$1 PROC_SYS=$2 SYSCTL_CONF=$3 dry_run=no
    source "$1/scripts/lib/common.sh"; source "$1/deploy/lib/changes.sh"; source "$1/deploy/lib/sysctls.sh"
    sysctls_ensure; printf "%s\n" "$changes" "${todo[@]}"' \
    bash "$BATS_TEST_DIRNAME/../.." "$PROC_SYS" "$SYSCTL_CONF"
  [[ $status -eq 0 && ${lines[0]} == 0 && $output == *"on the host"*"fs.inotify.max_user_instances"* ]]
  [[ ! -e $SYSCTL_CONF ]]
}
