#!/usr/bin/env bats
# The compile cache of OpenClaw's own image (worker/src/image/layer.rs), if the engine has that image: whether Node takes
# it, under the options of an instance.

bats_require_minimum_version 1.5.0

IMAGE=openclaw:local
NAME=clawdeploy-compile-cache-test-$$

# shellcheck disable=SC2054 # the commas belong to one argument
OPTIONS=(--network none --read-only --tmpfs /tmp:rw,noexec,nosuid,nodev --user 1000:1000 --cap-drop ALL
  --env NODE_DEBUG_NATIVE=COMPILE_CACHE)

setup() {
  has=$(timeout 10 docker image inspect --format '{{range .Config.Env}}{{println .}}{{end}}' "$IMAGE" 2>/dev/null) ||
    skip "no image $IMAGE"
  grep -q '^NODE_COMPILE_CACHE=' <<<"$has" || skip "$IMAGE has no compile cache: it is older, or could not be started"
}

teardown() {
  docker rm --force --volumes "$NAME" >/dev/null 2>&1 || true
}

# node_options MEMORY_MB: those that an instance of this size gets (worker/src/runtime/docker/spec.rs).
node_options() { printf 'NODE_OPTIONS=--max-old-space-size=%s --max-semi-space-size=8' "$(($1 * 7 / 16))"; }

# modules WORDS: how many modules Node says this of, in $output.
modules() { grep -c "V8 code cache for .* was $1" <<<"$output" || true; }

@test "V8 takes the compile cache whatever the memory of an instance" {
  for memory in 512 2048 65536; do
    run timeout 60 docker run --rm "${OPTIONS[@]}" --env "$(node_options "$memory")" "$IMAGE" node dist/index.js --version
    [[ $status -eq 0 ]]
    printf '%s MiB: %s taken, %s refused\n' "$memory" "$(modules accepted)" "$(modules rejected)"
    (($(modules accepted) > 50 && $(modules rejected) == 0))
  done
}

@test "a boot compiles hardly anything itself" {
  docker run --detach --name "$NAME" --init --memory 2g "${OPTIONS[@]}" --env "$(node_options 2048)" \
    --tmpfs /home/node/.openclaw:rw,uid=1000,gid=1000,mode=0700 --tmpfs /home/node/workspace:rw,uid=1000,gid=1000 \
    "$IMAGE" node dist/index.js gateway --bind loopback --port 18789 --allow-unconfigured >/dev/null
  until docker exec --env NODE_DEBUG_NATIVE= "$NAME" curl --silent --fail --output /dev/null http://127.0.0.1:18789/startupz; do
    ((SECONDS < 240))
    [[ $(docker inspect --format '{{.State.Running}}' "$NAME") == true ]]
    sleep 0.5
  done
  run docker logs "$NAME"
  printf '%s taken, %s refused, %s not there\n' "$(modules accepted)" "$(modules rejected)" "$(modules 'not initialized')"
  (($(modules accepted) > 1000 && $(modules rejected) == 0))
  # Under another configuration than the cache was made with, some are new.
  (($(modules 'not initialized') * 20 < $(modules accepted)))
}
