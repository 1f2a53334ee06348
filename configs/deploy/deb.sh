#!/bin/sh
# Packs one built gateway as a Debian package.
#
#   deb.sh ARCH BINARY OUTDIR        ARCH: amd64, arm64 or armhf
#
# - Nothing of the machine that builds goes in: no path, no owner, and file times are those of
#   SOURCE_DATE_EPOCH (default: the last commit), so that the same sources give the same package.
# - The glibc that it asks for is read from the binary.
set -eu

ARCH=$1
BINARY=$2
OUT=$3
HERE=$(cd "$(dirname "$0")" && pwd)
ROOT=$(cd "$HERE/../.." && pwd)
VERSION=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml")
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$ROOT" log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH

case "$ARCH" in
  amd64) wanted="Advanced Micro Devices X86-64" ;;
  arm64) wanted="AArch64" ;;
  armhf) wanted="ARM" ;;
  *) echo "架构应为 amd64、arm64 或 armhf：$ARCH  |  architecture must be amd64, arm64 or armhf" >&2; exit 2 ;;
esac
machine=$(readelf -h "$BINARY" | sed -n 's/^ *Machine: *//p')
if [ "$machine" != "$wanted" ]; then
  echo "$BINARY 是 $machine 的程序，不是 $ARCH  |  is a program for $machine, not for $ARCH" >&2
  exit 1
fi
glibc=$(readelf -V "$BINARY" | grep -o 'GLIBC_[0-9.]*' | sed 's/GLIBC_//' | sort -Vu | tail -1)
# Packed addresses are read by 2.36 and later; that is no version of a symbol.
if readelf -SW "$BINARY" | grep -q '\.relr\.dyn'; then
  glibc=$(printf '%s\n2.36\n' "$glibc" | sort -V | tail -1)
fi

mkdir -p "$OUT"
TREE=$(mktemp -d "$OUT/deb.XXXXXX")
trap 'rm -rf "$TREE"' EXIT
doc="$TREE/usr/share/doc/fengsui-gateway"
put() { install -D -m "$1" "$2" "$TREE/$3"; }

put 755 "$BINARY" usr/bin/fengsui-gateway
put 644 "$HERE/fengsui-gateway.service" usr/lib/systemd/system/fengsui-gateway.service
put 644 "$HERE/60-fengsui-gpio.rules" usr/lib/udev/rules.d/60-fengsui-gpio.rules
put 644 "$HERE/gateway.toml" etc/fengsui/gateway.toml
put 644 "$ROOT/docs/operations-gateway.md" usr/share/doc/fengsui-gateway/operations-gateway.md
put 644 "$ROOT/LICENSE" usr/share/doc/fengsui-gateway/copyright
for file in site.toml points.csv limits.csv; do
  put 644 "$ROOT/configs/demo/$file" "usr/share/doc/fengsui-gateway/examples/$file"
done
if [ -d "$ROOT/configs/profiles" ]; then
  find "$ROOT/configs/profiles" -type f | while read -r file; do
    put 644 "$file" "usr/share/fengsui/profiles/${file#"$ROOT/configs/profiles/"}"
  done
fi

mkdir -p "$TREE/DEBIAN"
cat > "$TREE/DEBIAN/control" <<CONTROL
Package: fengsui-gateway
Version: $VERSION
Architecture: $ARCH
Maintainer: Fengsui <fengsui@localhost>
Section: net
Priority: optional
Installed-Size: $(du -sk --exclude=DEBIAN "$TREE" | cut -f1)
Depends: libc6 (>= $glibc), libgcc-s1, passwd
Description: alarm gateway for chemical plants
 Reads instruments by Modbus, judges alarms on the spot and sounds them without
 any network, and keeps every record until the centre has it. A monitoring
 system: never a safety-instrumented function.
CONTROL
echo /etc/fengsui/gateway.toml > "$TREE/DEBIAN/conffiles"
for script in postinst prerm postrm; do put 755 "$HERE/$script" "DEBIAN/$script"; done
(cd "$TREE" && find usr etc -type f -print0 | sort -z | xargs -0 md5sum > DEBIAN/md5sums)
chmod 755 "$TREE"
[ -d "$doc" ]
find "$TREE" -newermt "@$SOURCE_DATE_EPOCH" -exec touch -hd "@$SOURCE_DATE_EPOCH" {} +

package="$OUT/fengsui-gateway_${VERSION}_$ARCH.deb"
dpkg-deb --root-owner-group -Zxz --build "$TREE" "$package" >/dev/null
echo "$package"
