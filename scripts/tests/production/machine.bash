# shellcheck shell=bash
# A fresh Debian to install on: it has its own root file system and processes, but this machine's network and no
# systemd.
# Needs common.sh, packages.sh, docker.sh and base-image.sh.

# The programs to install: those that scripts/test has compiled, or a release.
BINARIES=${CLAWDEPLOY_TEST_BINARIES:-$ROOT/target/debug}

# machine_make DIRECTORY: creates it in DIRECTORY/root. A packed Debian is kept in the repository's cache.
machine_make() {
  local -r cache=$ROOT/.clawdeploy/test/cache/install
  packages_ensure debootstrap debian-archive-keyring util-linux
  mkdir -p "$cache/debs" "$1/root"
  if [[ ! -s $cache/root.tar ]]; then
    base_image_discard "$cache/root"
    base_debian "$cache" || return 1
    tar -C "$cache/root" --numeric-owner --one-file-system -cf "$cache/root.tar.new" .
    mv "$cache/root.tar.new" "$cache/root.tar"
    base_image_discard "$cache/root"
  fi
  tar -C "$1/root" --numeric-owner -xpf "$cache/root.tar"
  # The part of a clone that an installation reads.
  mkdir -p "$1/root/opt/clawdeploy" "$1/root/opt/binaries"
  cp -a "$ROOT/deploy" "$ROOT/scripts" "$1/root/opt/clawdeploy/"
  cp "$BINARIES"/clawdeploy-{api,worker} "$1/root/opt/binaries/"
}

# machine_start DIRECTORY: starts a process; the machine's other processes end with it. As in a container, it cannot change
# the kernel's limits, which are this machine's.
machine_start() {
  # shellcheck disable=SC2016 # the inner shell expands it
  spawn machine unshare --mount --pid --fork --kill-child "$BASH" -c '
    mount -t proc proc "$1/proc" && mount --bind "$1/proc/sys" "$1/proc/sys" && mount -o remount,bind,ro "$1/proc/sys"
    mount --rbind /dev "$1/dev" && mount --make-rslave "$1/dev"
    cp /etc/resolv.conf /etc/hosts "$1/etc/" && exec chroot "$1" sleep infinity' machine "$1/root"
  wait_for 60 on_machine true
}

# on_machine COMMAND...: runs it there as root, with only the proxy settings of our environment.
on_machine() {
  local pid name
  pid=$(pid_alive "$STATE/run/machine.pid") || return 1
  pid=$(tr -d " " <"/proc/$pid/task/$pid/children")
  [[ -n $pid ]] || return 1
  local -a environment=(PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8)
  for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY; do
    if [[ -n ${!name:-} ]]; then environment+=("$name=${!name}"); fi
  done
  nsenter --target "$pid" --mount --pid --root env --chdir=/ -i "${environment[@]}" "$@" </dev/null
}

machine_stop() { pid_stop "$STATE/run/machine.pid" 5 KILL; }
