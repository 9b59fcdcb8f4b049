#!/usr/bin/env bats
# Rust is installed on a machine without it, and only a verified installer is run.

bats_require_minimum_version 1.5.0

setup() {
  STATE=$BATS_TEST_TMPDIR/state
  export HOME=$BATS_TEST_TMPDIR/home
  mkdir -p "$HOME" "$BATS_TEST_TMPDIR/bin"
  source "$BATS_TEST_DIRNAME/../lib/common.sh"
  source "$BATS_TEST_DIRNAME/../lib/packages.sh"
  unset SUDO_USER CARGO_HOME RUSTUP_HOME
  # Neither Debian nor this machine has Rust.
  PATH=$BATS_TEST_TMPDIR/bin:/usr/bin:/bin
  apt-cache() { :; }
  packages_ensure() { :; }
  printf '#!/bin/sh\nmkdir -p "$HOME/.cargo/bin"\nprintf "#!/bin/sh\\necho cargo 1" >"$HOME/.cargo/bin/cargo"\nchmod +x "$HOME/.cargo/bin/cargo"\n' \
    >"$BATS_TEST_TMPDIR/installer"
  download "$BATS_TEST_TMPDIR/installer"
}

# download FILE: makes curl return this file for all addresses.
download() {
  cat >"$BATS_TEST_TMPDIR/bin/curl" <<END
#!/bin/sh
echo "\$*" >"$BATS_TEST_TMPDIR/asked"
while [ "\$1" != --output ]; do shift; done
cp "$1" "\$2"
END
  chmod +x "$BATS_TEST_TMPDIR/bin/curl"
}

@test "a machine without Rust gets rustup, in the home of whoever builds" {
  [[ ! -x /usr/bin/cargo ]] || skip "this machine has Debian's cargo"
  sum=$(sha256sum "$BATS_TEST_TMPDIR/installer" | cut -d' ' -f1)
  rustup_target() { echo "x86_64-unknown-linux-gnu $sum"; }
  cargo_ensure
  [[ -x $HOME/.cargo/bin/cargo ]]
  [[ $(cat "$BATS_TEST_TMPDIR/asked") == *"=https"*"/archive/$RUSTUP_VERSION/x86_64-unknown-linux-gnu/rustup-init" ]]
}

@test "what has another checksum is not run" {
  run rustup_install
  [[ $status -ne 0 && $output == *"is not rustup"* ]]
  [[ ! -e $HOME/.cargo ]]
}

@test "where nothing can be downloaded it says how to name a mirror" {
  printf '#!/bin/sh\necho "no route" >&2\nexit 7\n' >"$BATS_TEST_TMPDIR/bin/curl"
  run rustup_install
  [[ $status -ne 0 && $output == *"no route"*"RUSTUP_UPDATE_ROOT"* ]]
}
