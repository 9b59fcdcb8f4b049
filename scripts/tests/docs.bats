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

# named_sources FILE...: names of source files and directories in these pages, such as `worker/src/rpc/` and `rpc.rs`. A
# name that begins with a slash is a path of a URL.
named_sources() {
  # shellcheck disable=SC2016 # the backticks of Markdown
  grep -hoP '`\K[A-Za-z0-9_.][A-Za-z0-9_./-]*(?:\.(?:rs|ts|tsx|mjs|sh|sql|toml|bats)|/)(?=`)' "$@" | sort -u
}

# sources: files and directories of the checkout, the latter with a slash at the end.
sources() {
  (cd "$ROOT" && find . \( -name target -o -name node_modules -o -name .git -o -name .clawdeploy \) -prune -o \
    \( -type f -printf '/%P\n' \) -o \( -type d -printf '/%P/\n' \))
}

@test "each source file that the design pages name exists" {
  local name all missing=0
  all=$(sources)
  [[ $(named_sources "$ROOT"/docs/design/*.md) == *worker/src/rpc/* ]]
  while read -r name; do
    grep -qE -- "/${name//./\\.}$" <<<"$all" && continue
    echo "no file $name, but $(cd "$ROOT" && grep -lF -- "\`$name\`" ARCHITECTURE.md docs/design/*.md | tr '\n' ' ')name it"
    missing=1
  done < <(named_sources "$ROOT/ARCHITECTURE.md" "$ROOT"/docs/design/*.md)
  ((missing == 0))
}
