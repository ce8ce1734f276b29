#!/usr/bin/env bash
# What l402d's threads share on the way of a claim, in every order that they may take: races/, under Shuttle.
set -euo pipefail
cd "$(dirname "$0")/.."
CARGO_TARGET_DIR=target/races cargo test --quiet --locked --manifest-path races/Cargo.toml
