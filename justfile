# Recipes for work on the project. `just` lists them; each is a line or two that can also be typed.

export PATH := justfile_directory() / ".cache/tools/bin:" + env("PATH")

# List the recipes.
default:
    @just --list --unsorted

# Everything that CI runs, in order of cheapness.
check:
    scripts/test

# Format the code.
fmt:
    cargo fmt --all

# Lints, lengths and leftovers, documentation against the project.
lint:
    scripts/tidy
    scripts/docs-check
    cargo clippy --workspace --all-targets --locked -- -D warnings

# Run the tests, all or those that a filter names: `just test -E 'package(s3bl-core)'`.
test *arguments:
    scripts/setup-test-tools
    cargo nextest run --workspace --locked {{ arguments }}

# A fleet in a simulated world, for many seeds; one seed of it and what happens there: `FLEET_SEED=n just fleet`.
fleet seeds="250000":
    FLEET_SEEDS={{ seeds }} cargo test --release --locked --package s3bl-core --test fleet

# Whether the simulation finds bugs that are planted on purpose (crates/core/src/planted.rs).
planted:
    RUSTFLAGS="--cfg s3bl_planted" CARGO_TARGET_DIR=target/planted cargo test --locked --package s3bl-core --test fleet \
        -- --nocapture every_planted_bug_is_found

# Fleets of processes to which things happen, so many rounds of each of six tests, told as they come; one round of each and
# what happens there: `CHAOS_SEED=n just chaos`.
chaos rounds="1000":
    scripts/setup-test-tools
    CHAOS_ROUNDS={{ rounds }} cargo test --locked --package s3-bucket-loader --test load chaos:: -- --nocapture

# Licences, sources and bans of the dependencies.
deny:
    scripts/setup-test-tools
    cargo deny --locked check bans licenses sources

# Known vulnerabilities of the dependencies; fetches the advisory database.
audit:
    scripts/setup-test-tools
    cargo deny --locked check advisories

# Write the API documentation, and fail on a broken link in it.
docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

# The benchmark against other tools; hours, and 30 GB. `just bench small --quick` shows whether it works.
bench *arguments:
    bench/run.py {{ arguments }}
    bench/report.py

# Try the program on a server of its own, without an account anywhere.
demo *arguments:
    cargo run --release --locked --package s3-bucket-loader -- demo {{ arguments }}

# A real S3 server with throw-away data until Enter: `just server seaweed`, moto or juicefs.
server kind="seaweed":
    scripts/setup-test-tools
    cargo run --quiet --locked --package s3bl-testkit -- {{ kind }}
