#!/usr/bin/env bash
# Installs ClawDeploy for production on this Debian or Ubuntu machine: system services, units, nginx.
set -Eeuo pipefail

usage() {
  cat <<'END'
Usage: deploy/install.sh [--binaries DIR] [--workers N] [--unprivileged-worker] [--dry-run]
       deploy/install.sh --uninstall [--purge --yes] [--dry-run]

Installs packages, users, settings with secrets, a database, a Redis, programs, systemd units, kernel limits for many
instances (/etc/sysctl.d/60-clawdeploy.conf), the instances' firewall, the nginx site and a first administrator, whose
password is shown once. Run it again at any time, also to upgrade: it changes only what is missing or different, and
never an existing setting. Settings are in /etc/clawdeploy.

  --binaries DIR         directory of clawdeploy-api and clawdeploy-worker (target/release)
  --workers N            number of workers on this machine (1, or as many as it already runs)
  --unprivileged-worker  run workers as a user of their own instead of root (see deploy/systemd)
  --admin-email ADDRESS  email address of the first administrator (admin@ the base domain)
  --uninstall            remove programs, units and the nginx site; data, settings and packages stay
  --purge                with --uninstall: also remove every instance with its data, the database and the settings
  --yes                  do not ask before --purge
  --dry-run              print the changes and make none
  --help

Settings, on the first run: CLAWDEPLOY_BASE_DOMAIN (claw.a2a.ing), CLAWDEPLOY_PUBLIC_URL (https://panel. and the base
domain; better use another domain), CLAWDEPLOY_LISTEN (127.0.0.1:8080), CLAWDEPLOY_DATA_DIR (/data/clawdeploy),
CLAWDEPLOY_DATABASE_URL and CLAWDEPLOY_REDIS_URL (default: services on this machine).
END
}

script=$(readlink -f -- "${BASH_SOURCE[0]}")
# Logs of this script.
STATE=/var/log/clawdeploy
# shellcheck source=scripts/lib/common.sh
source "$(dirname -- "$script")/../scripts/lib/common.sh"
# shellcheck source=scripts/lib/packages.sh
source "$ROOT/scripts/lib/packages.sh"
# shellcheck source=deploy/lib/changes.sh
source "$ROOT/deploy/lib/changes.sh"
# shellcheck source=deploy/lib/services.sh
source "$ROOT/deploy/lib/services.sh"
# shellcheck source=deploy/lib/sysctls.sh
source "$ROOT/deploy/lib/sysctls.sh"
# shellcheck source=deploy/lib/programs.sh
source "$ROOT/deploy/lib/programs.sh"
# shellcheck source=deploy/lib/uninstall.sh
source "$ROOT/deploy/lib/uninstall.sh"

install_all() {
  check_machine
  packages_wanted
  user_ensure clawdeploy-api
  if [[ $unprivileged == yes ]]; then user_ensure clawdeploy-worker docker; fi
  directories_ensure
  settings_common
  postgres_ensure
  redis_ensure
  keys_ensure
  programs_copy
  units_install
  sysctls_ensure
  firewall_ensure
  nginx_site_ensure
  admin_first
  programs_run
  summary
}

check_machine() {
  have apt-get || die "this is neither Debian nor Ubuntu." "Use deploy/compose, which runs everything in containers: see docs/operations.md."
  local name
  for name in api worker; do
    [[ -x $binaries/clawdeploy-$name ]] || die "there is no $binaries/clawdeploy-$name." \
      "Build it (npm ci and npm run build in api/web, then cargo build --release -p clawdeploy-api -p clawdeploy-worker), or name its directory with --binaries."
  done
  "$binaries/clawdeploy-api" --version >/dev/null || die "$binaries/clawdeploy-api does not run on this machine."
}

summary() {
  local url
  if [[ $dry_run == yes ]]; then
    say "$changes change(s) would be made"
    return
  fi
  url=$(env_get "$API_ENV" CLAWDEPLOY_PUBLIC_URL)
  if ((changes == 0)); then say "nothing had to be changed"; else say "$changes change(s) made"; fi
  if ((${#todo[@]})); then
    printf '\nWhat is left to do:\n' >&2
    printf '  - %s\n' "${todo[@]}" >&2
  fi
  printf '\nClawDeploy: %s\n' "$url"
  if [[ -n $password ]]; then
    printf '  Email     %s\n  Password  %s\nThe password is shown only once. Change it after you sign in.\n' \
      "$admin_email" "$password"
  fi
}

mode=install binaries=$ROOT/target/release workers='' unprivileged=no admin_email='' purge=no yes=no dry_run=no
arguments=("$@")
while (($#)); do
  case $1 in
    --binaries)
      [[ -d ${2:-} ]] || usage_error "--binaries needs a directory"
      binaries=$(readlink -f -- "$2")
      shift
      ;;
    --workers)
      [[ ${2:-} =~ ^[1-9][0-9]?$ ]] || usage_error "--workers needs a number from 1 to 99"
      workers=$2
      shift
      ;;
    --admin-email)
      [[ ${2:-} == ?*@?* ]] || usage_error "--admin-email needs an address"
      admin_email=$2
      shift
      ;;
    --unprivileged-worker) unprivileged=yes ;;
    --uninstall) mode=uninstall ;;
    --purge) purge=yes ;;
    --yes) yes=yes ;;
    --dry-run) dry_run=yes ;;
    -h | --help)
      usage
      exit 0
      ;;
    *) usage_error "unknown argument: $1" ;;
  esac
  shift
done
[[ $purge == no || $mode == uninstall ]] || usage_error "--purge goes with --uninstall"

need_root "${arguments[@]}"
# Secrets written from here on belong to root, not to the user who called sudo.
unset SUDO_USER
umask 022
if [[ $mode == uninstall ]]; then uninstall; else install_all; fi
