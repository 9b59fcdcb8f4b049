# Shortcuts for scripts/ and cargo; `just` lists them. just: `cargo install just`, or your distribution's package.

services := ".clawdeploy/services.env"

_list:
    @just --list --unsorted

# Start a private stack on this machine, or restart what changed (scripts/up --help)
up *arguments:
    scripts/up {{ arguments }}

# The same stack; API, worker and UI are built and restarted when you save a file
dev:
    scripts/dev

# Start what tests need: Postgres, Redis, Docker, a base of images
services:
    mkdir -p .clawdeploy
    scripts/test --services >{{ services }}

# Run the API's tests whose names contain NAME, after `just services`: no worker, no container
api name:
    . {{ services }} && cargo nextest run -p clawdeploy-api {{ name }}

# Run any Rust tests whose names contain NAME, after `just services`
one name:
    . {{ services }} && cargo nextest run --workspace {{ name }}

# Format everything
fmt:
    cargo fmt --all
    npm --prefix api/web run fix

# What CI checks without running a test: format, lints, types, shell
check:
    scripts/test --check

# Run what CI runs
test *arguments:
    scripts/test {{ arguments }}

# Test and build the UI
web:
    npm --prefix api/web ci
    npm --prefix api/web run check
    npm --prefix api/web test
    npm --prefix api/web run build

# Measure something (scripts/bench --help)
bench *arguments:
    scripts/bench {{ arguments }}
