# shellcheck shell=bash
# The web UI: Node, npm packages, build. Needs common.sh and packages.sh.

readonly WEB=$ROOT/api/web
# What Vite needs.
readonly WEB_NODE_FLOOR=20.19.0
# What is installed if the machine's Node is older, as in Debian 12.
readonly WEB_NODE_RANGE=24 WEB_NPM_RANGE=11

# node_ensure: puts a recent Node and its npm first in PATH: this machine's, or the one from npm's package.
node_ensure() {
  packages_ensure npm
  if node_is_new; then return; fi
  local arch
  case $(uname -m) in
    x86_64) arch=x64 ;;
    aarch64) arch=arm64 ;;
    *) die "Node $(node --version) is too old for the web UI." "Install $WEB_NODE_FLOOR or later." ;;
  esac
  local -r home=$ROOT/.clawdeploy/cache/node/node_modules
  if [[ ! -x $home/node-linux-$arch/bin/node || ! -f $home/npm/bin/npm-cli.js ]]; then
    say "installing Node $WEB_NODE_RANGE from npm: the web UI needs $WEB_NODE_FLOOR or later"
    mkdir -p -- "${home%/*}"
    npm install --prefix "${home%/*}" --silent --no-package-lock --no-save --no-audit --no-fund \
      "node-linux-$arch@$WEB_NODE_RANGE" "npm@$WEB_NPM_RANGE" >&2 ||
      die "npm could not install Node." "Check that this machine can reach the npm registry, or install Node $WEB_NODE_FLOOR or later by hand."
  fi
  PATH=$home/node-linux-$arch/bin:$home/.bin:$PATH
  node_is_new || die "Node $(node --version) is too old for the web UI." "Install $WEB_NODE_FLOOR or later."
}

node_is_new() {
  local version
  version=$(node --version 2>/dev/null) || return 1
  [[ $(printf '%s\n' "$WEB_NODE_FLOOR" "${version#v}" | sort -V | head -n 1) == "$WEB_NODE_FLOOR" ]]
}

# web_npm ARGUMENT...: runs npm in the UI's directory, as the user who builds.
web_npm() { as_developer npm --prefix "$WEB" "$@"; }

# web_install: installs the UI's packages exactly as in its lock file.
web_install() {
  node_ensure
  if [[ $WEB/node_modules/.package-lock.json -nt $WEB/package-lock.json ]]; then return; fi
  web_npm ci --no-audit --no-fund >&2 ||
    die "npm ci failed in api/web." "Check that this machine can reach the npm registry."
}

# web_build: builds the UI, which api/build.rs embeds into the program; skipped if no source has changed.
web_build() {
  local now
  now=$(web_sources | sha256sum)
  if [[ $(cat "$WEB/dist/.sources" 2>/dev/null) == "$now" ]]; then return; fi
  web_install
  web_npm run --silent build -- --logLevel warn >&2 || die "building the web UI failed; Vite's messages are above."
  printf '%s\n' "$now" | as_developer tee "$WEB/dist/.sources" >/dev/null
}

# web_sources: every file that the UI is built from, with its hash.
web_sources() {
  (
    cd -- "$WEB" || exit
    find . \( -name node_modules -o -name dist \) -prune -o -type f -print0 | sort -z | xargs -0 sha256sum
  )
}

# web_check: style, types, and whether the client is the one that the OpenAPI document describes.
web_check() {
  web_npm run --silent check >&2 || die "the checks of api/web failed." "npm run fix fixes style, npm run api generates the client again."
}
