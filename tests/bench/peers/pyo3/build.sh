#!/bin/sh
# Builds PyO3's side from the distribution's own Rust packages, without a network.
#   build.sh MANIFEST REGISTRY TARGET-DIRECTORY OUTPUT
# The environment names the Python: PYO3_PYTHON. One newer than this PyO3 is used through the stable ABI.
set -eu
export CARGO_HOME="$3/cargo" CARGO_TARGET_DIR="$3/target" PYO3_USE_ABI3_FORWARD_COMPATIBILITY=1
mkdir -p "$3/crate"
# Cargo writes its lock file beside the manifest, so it works on a copy: the source directory stays as it is.
cp -R "$(dirname "$1")/." "$3/crate"
cargo build --quiet --release --offline --manifest-path "$3/crate/Cargo.toml" \
    --config 'source.crates-io.replace-with="distribution"' --config "source.distribution.directory=\"$2\""
cp "$3/target/release/libpyo3_peer.a" "$4"
