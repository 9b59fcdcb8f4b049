#!/usr/bin/env bash
# Builds the OpenClaw image by hand, without ClawDeploy: for tests, and if no worker can build it.
set -Eeuo pipefail

usage() {
  cat <<'END'
Usage: scripts/build-openclaw-image.sh [--source git|release] [--tag TAG] [--if-missing] [--remake-base]

Builds the image that instances run and tags it TAG (openclaw:local). While ClawDeploy runs, an administrator can do the
same with POST /api/admin/image/rebuild.

  --source git      build the Dockerfile of OpenClaw's own repository, cloned to /opt/openclaw-src unless it is there.
                    Takes ten minutes, 6 GiB of memory and an engine with BuildKit. This is the default
  --source release  install the npm package with deploy/openclaw/Dockerfile; also tags openclaw:VERSION. Takes a minute
  --tag TAG         use another name than openclaw:local
  --if-missing      do nothing if TAG exists
  --remake-base     with release: build the base image from packages again (it is only built if no image registry
                    answers)

An existing clone is not updated. For a newer OpenClaw: git -C /opt/openclaw-src pull.

Settings: CLAWDEPLOY_OPENCLAW_REPOSITORY, CLAWDEPLOY_OPENCLAW_SRC (/opt/openclaw-src), CLAWDEPLOY_OPENCLAW_VERSION
(2026.9.6), CLAWDEPLOY_OPENCLAW_BASE_IMAGE, CLAWDEPLOY_DOCKER_HOST, CLAWDEPLOY_NPM_REGISTRY,
CLAWDEPLOY_MIN_DISK_MIB (6144).
END
}

# shellcheck source=scripts/lib/common.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib/common.sh"
# shellcheck source=scripts/lib/packages.sh
source "$ROOT/scripts/lib/packages.sh"
# shellcheck source=scripts/lib/docker.sh
source "$ROOT/scripts/lib/docker.sh"
# shellcheck source=scripts/lib/base-image.sh
source "$ROOT/scripts/lib/base-image.sh"

source=git tag=openclaw:local if_missing=no remake=no
arguments=("$@")
while (($#)); do
  case $1 in
    --source)
      [[ ${2:-} == git || ${2:-} == release ]] || usage_error "--source needs git or release"
      source=$2
      shift
      ;;
    --tag)
      [[ -n ${2:-} && ${2:-} != -* ]] || usage_error "--tag needs a name"
      tag=$2
      shift
      ;;
    --if-missing) if_missing=yes ;;
    --remake-base) remake=yes ;;
    -h | --help)
      usage
      exit 0
      ;;
    *) usage_error "unknown argument: $1" ;;
  esac
  shift
done

# clone_ensure DIR: the repository, cloned unless it is there.
clone_ensure() {
  local -r repository=${CLAWDEPLOY_OPENCLAW_REPOSITORY:-https://github.com/openclaw/openclaw.git}
  if [[ -e $1/.git ]]; then
    say "$1 already exists; not cloned again"
    return
  fi
  [[ ! -e $1 || -z $(ls -A -- "$1") ]] || die "$1 exists and is not a clone." \
    "Move it away, or say with CLAWDEPLOY_OPENCLAW_SRC where the clone is to be."
  say "cloning $repository to $1"
  # Beside its place first: what was cut off would be taken for a clone the next time.
  rm -rf -- "$1.new"
  git clone --quiet --depth 1 -- "$repository" "$1.new" || die "the repository could not be cloned." \
    "Another one is set by CLAWDEPLOY_OPENCLAW_REPOSITORY."
  if [[ -d $1 ]]; then rmdir -- "$1"; fi
  mv -- "$1.new" "$1"
}

# git_image_build DIR TAG: builds the Dockerfile of a clone.
git_image_build() {
  local -r log=$STATE/log/openclaw-image.log
  mkdir -p -- "$STATE/log"
  say "building $2 from $1 at $(git -C "$1" rev-parse --short HEAD); log: $log"
  if ! (cd -- "$1" && docker build -t "$2" -f Dockerfile .) >"$log" 2>&1; then
    log_tail "$log" 30
    die "building the OpenClaw image failed." "The full log is in $log." \
      "Where it asks for BuildKit: install docker-buildx, or let a worker build it, which needs no plugin." \
      "--source release needs neither BuildKit nor a large machine."
  fi
  say "image $2 is ready ($(docker image inspect --format '{{.Size}}' "$2" | awk '{ printf "%.2f GB", $1 / 1e9 }'))"
}

need_root "${arguments[@]}"
engine_ensure
if [[ $if_missing == yes ]] && image_exists "$tag"; then
  say "image $tag already exists"
  exit 0
fi
need_disk "$(docker info --format '{{.DockerRootDir}}')" "${CLAWDEPLOY_MIN_DISK_MIB:-6144}"
if [[ $source == git ]]; then
  if ! have git; then packages_ensure git; fi
  dir=${CLAWDEPLOY_OPENCLAW_SRC:-/opt/openclaw-src}
  clone_ensure "$dir"
  git_image_build "$dir" "$tag"
else
  if [[ $remake == yes ]]; then base_image_make; fi
  base_image_ensure
  openclaw_image_build "$tag"
fi
