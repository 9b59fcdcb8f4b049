# shellcheck shell=bash
# The base of the OpenClaw image: Debian with Node. Usually the official image from a registry. If no registry answers, this
# builds the same from Debian packages (debootstrap) and the Node binary in the npm registry.
#
# Needs common.sh, packages.sh and docker.sh.

readonly OFFICIAL_BASE=node:24-bookworm-slim
readonly LOCAL_BASE=clawdeploy/base:bookworm-node24
readonly BASE_SUITE=bookworm
readonly NODE_RANGE=24
readonly NPM_RANGE=11

# node_floor: the oldest Node that the release takes. The worker asks the npm package itself (worker/src/image/node.rs).
node_floor() {
  if version_before "${CLAWDEPLOY_OPENCLAW_VERSION:-2026.9.6}" 2026.10.6; then echo 24.16.0; else echo 24.22.1; fi
}

# version_before VERSION OTHER: it is older.
version_before() { [[ $1 != "$2" && $(printf '%s\n' "$1" "$2" | sort -V | head -n 1) == "$1" ]]; }

# base_image_ensure: makes sure that the engine has a base image, and sets BASE_IMAGE to its name. If the caller sets
# CLAWDEPLOY_OPENCLAW_BASE_IMAGE, that image is used as it is.
base_image_ensure() {
  if [[ -n ${CLAWDEPLOY_OPENCLAW_BASE_IMAGE:-} ]]; then
    BASE_IMAGE=$CLAWDEPLOY_OPENCLAW_BASE_IMAGE
  elif base_image_fits "$OFFICIAL_BASE"; then
    BASE_IMAGE=$OFFICIAL_BASE
  elif base_image_fits "$LOCAL_BASE"; then
    BASE_IMAGE=$LOCAL_BASE
  elif say "pulling $OFFICIAL_BASE" && timeout 300 docker pull --quiet "$OFFICIAL_BASE" >/dev/null 2>&1; then
    BASE_IMAGE=$OFFICIAL_BASE
  else
    say "no image registry answers: building the base image from packages"
    base_image_make
    # shellcheck disable=SC2034 # read by whoever called this
    BASE_IMAGE=$LOCAL_BASE
  fi
}

# base_image_fits IMAGE: the engine has it, and its Node is not known to be too old.
base_image_fits() {
  image_exists "$1" || return 1
  local node
  node=$(base_image_node "$1")
  if [[ -n $node ]] && version_before "$node" "$(node_floor)"; then
    say "the base image $1 has Node $node, and OpenClaw needs $(node_floor) or newer"
    return 1
  fi
}

# base_image_node IMAGE: prints the version of Node in it; nothing if it does not say. The official images have a variable,
# LOCAL_BASE has a label.
base_image_node() {
  docker image inspect --format '{{range .Config.Env}}{{println .}}{{end}}clawdeploy={{index .Config.Labels "clawdeploy.node.version"}}' "$1" 2>/dev/null |
    sed -nE 's/^(NODE_VERSION|clawdeploy)=([0-9][0-9.]*)$/\2/p' | tail -n 1
}

# base_image_make: builds LOCAL_BASE again. Downloads are kept in $STATE/cache.
base_image_make() {
  packages_ensure debootstrap debian-archive-keyring npm
  local -r work=$STATE/cache/base-image log=$STATE/log/base-image.log
  mkdir -p -- "$work/debs" "$work/npm" "$STATE/log"
  base_image_discard "$work/root"
  if ! (
    set -Eeuo pipefail
    trap 'base_image_discard "$work/root"' EXIT
    base_debian "$work" && base_node "$work" && base_trim "$work/root" && base_import "$work"
  ) >"$log" 2>&1; then
    log_tail "$log" 30
    die "building the base image failed." "The full log is in $log." \
      "It needs Debian's packages (debootstrap, apt) and the npm registry; or set CLAWDEPLOY_OPENCLAW_BASE_IMAGE to a" \
      "Debian image with Node >= $(node_floor), npm and a user 'node' with uid 1000 that this engine has or can pull."
  fi
  say "base image $LOCAL_BASE is ready"
}

# base_image_discard ROOT: removes an unfinished tree, but never one with a mount in it.
base_image_discard() {
  if mountpoint -q "$1/proc" 2>/dev/null; then umount "$1/proc"; fi
  rm -rf --one-file-system -- "$1"
}

# base_debian WORK: a minimal Debian in WORK/root, with this machine's package sources, apt settings and authorities.
base_debian() {
  local -r root=$1/root
  local mirror security
  # This machine's own mirror, if it runs the same release; otherwise debootstrap's default.
  mirror=$(base_mirror "$BASE_SUITE")
  debootstrap --variant=minbase --include=ca-certificates --cache-dir="$1/debs" "$BASE_SUITE" "$root" ${mirror:+"$mirror"}

  mirror=${mirror:-$(awk '$1 == "deb" { print $2; exit }' "$root/etc/apt/sources.list")}
  mirror=${mirror%/}
  security=$(base_mirror "$BASE_SUITE-security")
  security=${security:-$mirror-security}
  printf 'deb %s %s main\n' "$mirror" "$BASE_SUITE" "$mirror" "$BASE_SUITE-updates" \
    "${security%/}" "$BASE_SUITE-security" >"$root/etc/apt/sources.list"

  # On a machine behind a proxy or with a wrong clock, downloads may work only with its apt settings. Credentials stay out,
  # because tenants can read the image.
  apt-config dump | grep -E '^Acquire::(https?|Check-)[^ ]* "' | grep -vE '://[^/]*@' \
    >"$root/etc/apt/apt.conf.d/90machine" || true
  # As in the official image: no documents, no translations.
  cat >"$root/etc/dpkg/dpkg.cfg.d/docker" <<'END'
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/groff/*
path-exclude /usr/share/info/*
path-exclude /usr/share/locale/*
path-exclude /usr/share/man/*
END
  printf 'Acquire::Languages "none";\nAPT::Install-Recommends "false";\n' >"$root/etc/apt/apt.conf.d/80lean"

  if compgen -G '/usr/local/share/ca-certificates/*.crt' >/dev/null; then
    cp -- /usr/local/share/ca-certificates/*.crt "$root/usr/local/share/ca-certificates/"
    chroot "$root" update-ca-certificates
  fi
  chroot "$root" apt-get update
  DEBIAN_FRONTEND=noninteractive chroot "$root" apt-get dist-upgrade --yes
}

# base_mirror SUITE: the mirror from which this machine's apt fetches that Debian suite; nothing if it does not.
base_mirror() {
  # shellcheck disable=SC2016 # apt's own placeholders
  apt-get indextargets --format '$(ORIGIN) $(CODENAME) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
    awk -v suite="$1" '$1 == "Debian" && $2 == suite && $3 == "main" && $4 ~ /^http/ { print $4; exit }'
}

# base_node WORK: adds Node, npm and the user `node` to WORK/root. This machine's npm client downloads them.
base_node() {
  local -r root=$1/root
  local arch node npm version
  case $(dpkg --print-architecture) in
    amd64) arch=x64 ;;
    arm64) arch=arm64 ;;
    *) printf 'no Node binary for the architecture %s\n' "$(dpkg --print-architecture)"; return 1 ;;
  esac
  node=$(cd "$1/npm" && npm pack --silent "node-linux-$arch@$NODE_RANGE" 2>/dev/null | tail -n 1)
  npm=$(cd "$1/npm" && npm pack --silent "npm@$NPM_RANGE" 2>/dev/null | tail -n 1)
  [[ -s $1/npm/$node && -s $1/npm/$npm ]] || { printf 'the npm registry did not give Node %s and npm %s\n' \
    "$NODE_RANGE" "$NPM_RANGE"; return 1; }

  local -r modules=$root/usr/local/lib/node_modules
  tar -xzf "$1/npm/$node" --strip-components=1 --no-same-owner -C "$root/usr/local" package/bin package/LICENSE
  mkdir -p "$modules/npm"
  tar -xzf "$1/npm/$npm" --strip-components=1 --no-same-owner -C "$modules/npm"
  chmod 0755 "$root/usr/local/bin/node" "$modules/npm/bin/"*.js
  ln -sf node "$root/usr/local/bin/nodejs"
  ln -sf ../lib/node_modules/npm/bin/npm-cli.js "$root/usr/local/bin/npm"
  ln -sf ../lib/node_modules/npm/bin/npx-cli.js "$root/usr/local/bin/npx"
  chroot "$root" groupadd --gid 1000 node
  chroot "$root" useradd --uid 1000 --gid node --shell /bin/bash --create-home node

  version=$(chroot "$root" node --version)
  printf 'node %s, npm %s\n' "$version" "$(chroot "$root" npm --version)"
  ! version_before "${version#v}" "$(node_floor)"
}

# base_trim ROOT: drops what an image does not need.
base_trim() {
  find "$1/usr/share/doc" -type f ! -name copyright -delete
  find "$1/usr/share/doc" -mindepth 1 -type d -empty -delete
  rm -rf "$1"/usr/share/{man,info,groff,locale}/* "$1"/usr/local/lib/node_modules/npm/{man,docs} \
    "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/* "$1"/var/log/* "$1"/var/cache/ldconfig/* "$1"/root/.npm \
    "$1"/etc/resolv.conf "$1"/etc/hostname "$1"/etc/machine-id
}

# base_import WORK: imports WORK/root as the image LOCAL_BASE.
base_import() {
  local version
  local -a changes=()
  version=$(chroot "$1/root" node --version)
  changes+=(--change "LABEL clawdeploy.image=base clawdeploy.node.version=${version#v}")
  changes+=(--change 'CMD ["node"]')
  # Node has its own list of authorities. If this machine trusts more, because a proxy signs its outgoing connections, then
  # npm during the build and the gateway afterwards must trust them too.
  if compgen -G "$1/root/usr/local/share/ca-certificates/*.crt" >/dev/null; then
    changes+=(--change 'ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt')
  fi
  tar -C "$1/root" --numeric-owner --one-file-system --create . | docker import "${changes[@]}" - "$LOCAL_BASE"
}
