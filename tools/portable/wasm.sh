#!/usr/bin/env bash
# Builds the crates that run networks for WebAssembly with vectors, and runs their tests under Node.
#
#     tools/portable/wasm.sh [ARGUMENT of `cargo test`…]       (without any: the test suites of the crates below)
#
# Debian 12's packages: rustc-web cargo-web rust-web-src lld-19 wasi-libc, and Node 20 or newer. Another toolchain, with the
# standard library for the target: SEPAL_CARGO="cargo +stable", which then links by itself.
set -euo pipefail
cd "$(dirname "$0")/../.."

target=wasm32-wasip1
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/portable-wasm32
# Node 20 crashes at its end where it was still optimising.
export CARGO_TARGET_WASM32_WASIP1_RUNNER="node --no-warnings --liftoff --no-wasm-tier-up $PWD/tools/portable/wasi.mjs"
flags="-C target-feature=+simd128 -C link-arg=-zstack-size=8388608"

if [[ -n ${SEPAL_CARGO:-} ]]; then
    read -ra cargo <<< "$SEPAL_CARGO"
else
    # The packages hold the standard library's source alone, and a C library beside it.
    sysroot=/usr/lib/wasm32-wasi
    export PATH=/usr/bin:$PATH RUSTC_BOOTSTRAP=1 CARGO_TARGET_WASM32_WASIP1_LINKER=wasm-ld-19
    flags+=" -C link-self-contained=no -L native=$sysroot -C link-arg=$sysroot/crt1-command.o -C link-arg=--allow-undefined"
    cargo=(cargo -Zbuild-std=std,panic_abort,test)
fi
export CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS=$flags

arguments=("$@")
[[ $# -gt 0 ]] || arguments=(-p sepal-kernels -p sepal-runtime -p sepal-graph -p sepal-zoo --lib --tests)
"${cargo[@]}" test --target "$target" "${arguments[@]}"
