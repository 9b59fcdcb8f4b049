#!/usr/bin/env bats
# Documentation that must match the code.

ROOT=$BATS_TEST_DIRNAME/../..

# worker_codes: error codes of jobs and of the reconciler's open findings in the worker's sources. `cancelled` is not an
# error.
worker_codes() {
  find "$ROOT/worker/src" -name '*.rs' ! -path '*/terminal/*' -exec cat {} + | tr '\n' ' ' |
    grep -oP '(?:reported|watching|StepError::permanent|StepError::transient)\(\s*"\K[a-z_]+(?=")|\bcode: "\K[a-z_]+(?=")' | sort -u |
    grep -vx cancelled
}

@test "each code of a worker says in docs/operations.md what to do" {
  local code codes
  codes=$(worker_codes)
  [[ $codes == *image_missing* && $codes == *snapshot_stays* && $codes == *manifest_failed* ]]
  for code in $codes; do
    grep -q "^| .*\`$code\`" "$ROOT/docs/operations.md" || { echo "no row for $code"; return 1; }
  done
}
