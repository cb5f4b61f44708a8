# `just` lists these; each is one command that is typed often. What a change must pass is `.ci/run`.

_list:
    @just --list --unsorted

# the server, with an image for its sandboxes if an engine answers
serve *FLAGS:
    cargo run --release -- serve {{FLAGS}}

# does it compile, tests too
check:
    cargo check --tests

# tests whose names match, such as `just test faults`
test FILTER='':
    cargo nextest run {{FILTER}}

# formatting, lints, documentation
lint:
    cargo fmt --check
    cargo clippy --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --lib --examples

# docs/openapi.json, and the packages' types from it
shapes:
    SANDTABLE_UPDATE=1 cargo test -q -p sandtable-control
    python3 clients/generate.py

# the inspector's bundle
page:
    cd page && node_modules/.bin/tsc --noEmit && node build.mjs

# every number, as docs/BENCHMARKS.md has them
bench *FLAGS:
    cargo bench -- {{FLAGS}}

# all that a change must pass
ci:
    .ci/run
