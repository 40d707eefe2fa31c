# The common commands: `just` lists them. Each only calls cargo or a script of .ci.

# List the commands.
default:
    @just --list --unsorted

# Run the whole system on this machine.
run *ARGS:
    cargo run -- {{ARGS}}

# Run it optimized: a longer build, several times as many events a second.
run-fast *ARGS:
    cargo run --profile fast -- {{ARGS}}

# Run all tests.
test *ARGS:
    cargo test {{ARGS}}

# Try many seeds of a failing store.
faults SEEDS="1000":
    TALLY_SEEDS={{SEEDS}} cargo test -p end-to-end faults

# Format the code.
fmt:
    cargo fmt --all

# Check formatting and lints.
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings

# Check the page; `just web --write` also repairs format and lints.
web *ARGS:
    .ci/web {{ARGS}}

# Regenerate functions/admin/openapi.json.
openapi:
    cargo run -q -p openapi

# Measure, e.g. `just bench --quick`, `just bench load --rate 2000`, `just bench questions`.
bench *ARGS:
    cargo build --profile fast -p tally -p bench
    target/fast/bench {{ARGS}}

# Print the tables of docs/cost.md.
cost:
    cargo run -- cost

# Fuzz every target, e.g. `just fuzz 300`, or some: `just fuzz 300 json cursor`.
fuzz SECONDS="60" *TARGETS:
    .ci/fuzz {{SECONDS}} {{TARGETS}}

# Run the whole gate, or some steps of it: `just ci lint`.
ci *STEPS:
    .ci/run {{STEPS}}

# Build the functions as they are deployed and measure their start.
lambda:
    .ci/lambda measure
