#!/usr/bin/env bash
# Builds the image of OpenClaw by hand, without ClawDeploy: the way back when no worker can do it, and what tests use.
set -Eeuo pipefail

usage() {
  cat <<'END'
Usage: scripts/build-openclaw-image.sh [--tag TAG] [--if-missing] [--remake-base]

Builds deploy/openclaw/Dockerfile and tags it TAG (openclaw:local) and openclaw:VERSION. Running ClawDeploy, an admin
does the same with POST /api/admin/image/rebuild.

  --tag TAG       another name than openclaw:local
  --if-missing    do nothing when TAG is there
  --remake-base   make the base image from packages again (it is only made where no image registry answers)

Settings: CLAWDEPLOY_OPENCLAW_VERSION (2026.9.6), CLAWDEPLOY_OPENCLAW_BASE_IMAGE, CLAWDEPLOY_DOCKER_HOST,
CLAWDEPLOY_NPM_REGISTRY, CLAWDEPLOY_MIN_DISK_MIB (6144).
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

tag=openclaw:local if_missing=no remake=no
arguments=("$@")
while (($#)); do
  case $1 in
    --tag)
      [[ -n ${2:-} ]] || usage_error "--tag needs a name"
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

need_root "${arguments[@]}"
engine_ensure
if [[ $if_missing == yes ]] && image_exists "$tag"; then
  say "image $tag is there already"
  exit 0
fi
need_disk "$(docker info --format '{{.DockerRootDir}}')" "${CLAWDEPLOY_MIN_DISK_MIB:-6144}"
if [[ $remake == yes ]]; then base_image_make; fi
base_image_ensure
openclaw_image_build "$tag"
