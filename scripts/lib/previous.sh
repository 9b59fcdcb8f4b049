# shellcheck shell=bash
# The programs of the previous release, which scripts/test --compat runs beside those of this checkout. Needs common.sh.

# previous_commit: prints the commit in tests/previous-release.
previous_commit() {
  local commit
  commit=$(sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$ROOT/tests/previous-release")
  [[ $commit =~ ^[0-9a-f]{40}$ ]] || die "tests/previous-release must contain one full commit hash, but contains '$commit'."
  printf '%s\n' "$commit"
}

# previous_source COMMIT DIR: extracts its files.
previous_source() {
  local -r commit=$1 dir=$2
  if [[ -d $dir/source ]]; then return; fi
  as_developer git -C "$ROOT" cat-file -e "$commit^{commit}" 2>/dev/null ||
    die "this clone does not have the commit $commit, which tests/previous-release names." \
      "A shallow clone has only the newest commits: git fetch --unshallow, or git fetch origin $commit"
  as_developer rm -rf --one-file-system -- "$dir/source.new"
  as_developer mkdir -p -- "$dir/source.new"
  # Use current file times: with those of the commit, cargo would consider existing builds newer.
  as_developer git -C "$ROOT" archive "$commit" | as_developer tar --extract --touch --directory "$dir/source.new"
  mv -- "$dir/source.new" "$dir/source"
}

# previous_dependencies DIR: copies third-party crates as compiled for this checkout; cargo recompiles what differs. Our own
# crates have the same names in both releases and are left out, as is a cargo directory that both would write to.
previous_dependencies() {
  local -r from=$ROOT/target/debug to=$1/target/debug
  local part
  if [[ -d $to || ! -d $from/deps ]]; then return; fi
  as_developer mkdir -p -- "$to"
  for part in .fingerprint build deps; do
    as_developer cp --archive --reflink=auto -- "$from/$part" "$to/"
    as_developer find "$to/$part" -mindepth 1 -maxdepth 1 \
      \( -name 'clawdeploy[-_]*' -o -name 'libclawdeploy_*' \) -exec rm -rf --one-file-system -- {} +
  done
}

# previous_build: builds both programs, the worker with its kill points. Prints their directory.
previous_build() {
  local commit dir other
  commit=$(previous_commit)
  dir=$ROOT/.clawdeploy/previous/$commit
  previous_source "$commit" "$dir"
  for other in "$ROOT"/.clawdeploy/previous/*; do
    if [[ $other != "$dir" ]]; then rm -rf --one-file-system -- "$other"; fi
  done
  previous_dependencies "$dir"
  as_developer cargo build --manifest-path "$dir/source/Cargo.toml" --target-dir "$dir/target" --locked --quiet --bins \
    -p clawdeploy-api -p clawdeploy-worker --features clawdeploy-worker/failpoints >&2 ||
    die "the previous release, $commit, does not build; the compiler's messages are above."
  printf '%s\n' "$dir/target/debug"
}
