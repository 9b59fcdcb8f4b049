#!/usr/bin/env bash
# Builds the OpenClaw image where no worker runs: prepares what `clawdeploy-worker build-image` needs, and runs it.
set -Eeuo pipefail

usage() {
  cat <<'END_OF_USAGE'
Usage: scripts/build-openclaw-image.sh [--source git|release|registry] [--tag TAG] [--if-missing] [--remake-base]

Builds the image that instances run, as a worker does, but without a database: compiles the worker, or uses the
installed one if there is no source, and runs `clawdeploy-worker build-image`. While ClawDeploy runs, an administrator
can do the same with POST /api/admin/image/rebuild.

  --source git       build the Dockerfile of OpenClaw's own repository. Takes ten minutes, 6 GiB of memory and an engine
                     with BuildKit. This is the default
  --source release   install the npm package with deploy/openclaw/Dockerfile. Takes a minute
  --source registry  pull the image that CLAWDEPLOY_OPENCLAW_REGISTRY_IMAGE names
  --tag TAG          use another name than openclaw:local
  --if-missing       do nothing if TAG exists
  --remake-base      with release: build the base image from packages again (it is only built if no image registry
                     answers)

Settings: CLAWDEPLOY_DOCKER_HOST and those of the section "Worker: image" in docs/settings.md. CLAWDEPLOY_DATA_DIR is
where a repository is kept during the build (.clawdeploy/cache/image).
END_OF_USAGE
}

# shellcheck source=scripts/lib/common.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib/common.sh"
for part in packages docker base-image stack; do
  # shellcheck disable=SC1090 # checked one by one
  source "$ROOT/scripts/lib/$part.sh"
done

source=${CLAWDEPLOY_IMAGE_SOURCE:-git} tag=${CLAWDEPLOY_IMAGE:-openclaw:local} if_missing=no remake=no
arguments=("$@")
while (($#)); do
  case $1 in
    --source)
      [[ ${2:-} =~ ^(git|release|registry)$ ]] || usage_error "--source needs git, release or registry"
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

# worker_program: prints the path of the worker, which is compiled from this source, or installed where there is none.
worker_program() {
  if [[ -f $ROOT/Cargo.toml ]]; then
    programs_build >&2
    printf '%s\n' "$(programs_home)/clawdeploy-worker"
  else
    command -v clawdeploy-worker || die "there is neither ClawDeploy's source in $ROOT nor an installed worker." \
      "Run this script in a clone of the repository, or install ClawDeploy with deploy/install.sh."
  fi
}

need_root "${arguments[@]}"
engine_ensure
# Before anything is compiled.
if [[ $if_missing == yes ]] && image_exists "$tag"; then
  say "image $tag already exists"
  exit 0
fi
program=$(worker_program)
if [[ $source == release ]]; then
  if [[ $remake == yes ]]; then base_image_make; fi
  base_image_ensure
  export CLAWDEPLOY_OPENCLAW_BASE_IMAGE=$BASE_IMAGE
fi
if [[ -z ${CLAWDEPLOY_DATA_DIR:-} ]]; then
  export CLAWDEPLOY_DATA_DIR=$STATE/cache/image
  mkdir -p -- "$CLAWDEPLOY_DATA_DIR"
fi
exec "$program" build-image --docker-host "$DOCKER_HOST" --source "$source" --tag "$tag"
