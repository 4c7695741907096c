#!/usr/bin/env bash
# Builds the crates that run networks for 64-bit ARM, and runs their tests under qemu's user mode.
#
#     tools/portable/aarch64.sh [ARGUMENT of `cargo test`…]    (without any: the test suites of the crates below)
#
# Debian 12's packages (after `dpkg --add-architecture arm64`): rustc-web cargo-web libstd-rust-web-dev:arm64
# gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user. The emulator takes the C library of libc6:arm64, which the third
# brings; with `-L` and the one for cross-compiling, threads never start. Another toolchain with the standard library for
# the target: SEPAL_CARGO="cargo +stable".
set -euo pipefail
cd "$(dirname "$0")/../.."

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/portable-aarch64
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER=qemu-aarch64

if [[ -n ${SEPAL_CARGO:-} ]]; then
    read -ra cargo <<< "$SEPAL_CARGO"
else
    export PATH=/usr/bin:$PATH
    cargo=(cargo)
fi

arguments=("$@")
# What a processor is capable of at best cannot be measured on an emulated one.
[[ $# -gt 0 ]] || arguments=(-p sepal-kernels -p sepal-runtime -p sepal-graph -p sepal-zoo --lib --tests -- --skip figures_are_plausible)
"${cargo[@]}" test --target aarch64-unknown-linux-gnu "${arguments[@]}"
