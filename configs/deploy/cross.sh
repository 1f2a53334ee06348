#!/bin/sh
# Builds the gateway for ARM from Debian packages alone (Debian 12, amd64).
#
#   cross.sh setup            compilers for C and qemu (root, once)
#   cross.sh build [ARCH]     arm64, armhf or both, into target/cross/out/ARCH/fengsui-gateway
#   cross.sh remap            the flags that keep this machine's paths out of a build
#   cross.sh sqlite           what is left out of SQLite
#
# - Rust for ARM: Debian's "web" toolchain, unpacked beside the build and never installed, with its
#   standard library built from source. Installing it would replace the Rust of this machine.
# - The figures of a build for ARM are its size only: timings on ARM are not measured.
set -eu

ROOT=$(cd "$(dirname "$0")/../.." && pwd)
CROSS=${FENGSUI_CROSS:-$ROOT/target/cross}
PACKAGES="gcc-aarch64-linux-gnu libc6-dev-arm64-cross gcc-arm-linux-gnueabihf libc6-dev-armhf-cross
  qemu-user libcurl4 libssh2-1 libsqlite3-0 libz3-4 libedit2 libxml2"

say() { echo "$*" >&2; }

setup() {
  missing=""
  for package in $PACKAGES; do
    dpkg -s "$package" >/dev/null 2>&1 || missing="$missing $package"
  done
  [ -z "$missing" ] && return 0
  if [ "$(id -u)" != 0 ]; then
    say "缺少软件包，请以 root 执行 make dist-setup  |  packages are missing, run make dist-setup as root:$missing"
    exit 4
  fi
  apt-get update -qq
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
}

candidate() { apt-cache policy "$1" | awk '/Candidate:/{print $2}'; }

# Unpacks the toolchain once for each version that the distribution offers.
toolchain() {
  version=$(candidate rustc-web)
  case "$version" in
    ""|"(none)") say "软件源中没有 rustc-web（Debian 12 才有）  |  no package rustc-web: Debian 12 has it"; exit 3 ;;
  esac
  if [ "$version" != "$(candidate rust-web-src)" ]; then
    say "rustc-web 与 rust-web-src 版本不一致，请先 apt-get update  |  versions differ, update the package lists"
    exit 3
  fi
  [ "$(cat "$CROSS/version" 2>/dev/null)" = "$version" ] && return 0
  short=$(echo "$version" | cut -d. -f1,2)
  llvm=$(apt-cache depends "libstd-rust-web-$short" | awk '/Depends: libllvm/{print $2}')
  say "下载工具链 rustc-web $version（约 145 MB）  |  fetching the toolchain, about 145 MB"
  rm -rf "$CROSS/deb" "$CROSS/root" "$CROSS/version"
  mkdir -p "$CROSS/deb" "$CROSS/root"
  (
    cd "$CROSS/deb"
    apt-get download -qq rustc-web cargo-web libstd-rust-web-dev "libstd-rust-web-$short" \
      rust-web-src "$llvm" libgit2-1.5 libmbedtls14 libmbedcrypto7 libmbedx509-1 libhttp-parser2.9
    for package in *.deb; do dpkg -x "$package" ../root; done
  )
  rm -rf "$CROSS/deb"
  echo "$version" > "$CROSS/version"
}

# Paths of the machine that builds stay out of what it builds.
remap() {
  echo "--remap-path-prefix=$ROOT=. --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}/registry/src=crates --remap-path-prefix=$CROSS=cross"
}

sqlite() {
  echo "-USQLITE_ENABLE_FTS3 -USQLITE_ENABLE_FTS3_PARENTHESIS -USQLITE_ENABLE_FTS5 -USQLITE_ENABLE_RTREE"
}

build() {
  target=$1
  env LD_LIBRARY_PATH="$CROSS/root/usr/lib/x86_64-linux-gnu" RUSTC="$CROSS/root/usr/bin/rustc" \
    RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR="$CROSS/target" RUSTFLAGS="$(remap) -C strip=symbols" \
    LIBSQLITE3_FLAGS="$(sqlite)" CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
    CARGO_TARGET_ARMV7_UNKNOWN_LINUX_GNUEABIHF_LINKER=arm-linux-gnueabihf-gcc \
    nice "$CROSS/root/usr/bin/cargo" build --manifest-path "$ROOT/Cargo.toml" --locked \
    --profile dist -Zbuild-std=std -p fengsui-gateway --features rpi --bins --target "$target"
  mkdir -p "$CROSS/out/$2"
  cp "$CROSS/target/$target/dist/fengsui-gateway" "$CROSS/out/$2/"
}

case "${1:-}" in
  setup) setup ;;
  build)
    setup
    toolchain
    case "${2:-all}" in
      all|arm64) build aarch64-unknown-linux-gnu arm64 ;;
    esac
    case "${2:-all}" in
      all|armhf) build armv7-unknown-linux-gnueabihf armhf ;;
    esac
    ls -l "$CROSS"/out/*/fengsui-gateway
    ;;
  remap) remap ;;
  sqlite) sqlite ;;
  *) say "用法 Usage: cross.sh setup|build|remap|sqlite"; exit 2 ;;
esac
