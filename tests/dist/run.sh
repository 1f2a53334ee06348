#!/usr/bin/env bash
# The packages for ARM, run under qemu: each reads a simulated plant over Modbus TCP, sounds its
# siren, keeps records, publishes to mosquitto until a centre has them, and finds its records again
# after a restart.
#
# - What this cannot show: speed, serial lines and GPIO on a board. Timings on ARM are not measured.
# - Packages: target/packages/*.deb, made by `make dist`.
set -euo pipefail
cd "$(dirname "$0")/../.."

PACKAGES=${FENGSUI_PACKAGES:-target/packages}
PLANT=${FENGSUI_PLANT:-${CARGO_TARGET_DIR:-target}/debug/fengsui-plant}
CENTRE=${FENGSUI_CENTRE:-${CARGO_TARGET_DIR:-target}/debug/fengsui}
WORK=$(mktemp -d)
STARTED=()
finish() {
  for pid in "${STARTED[@]}"; do kill "$pid" 2>/dev/null || true; done
  rm -rf "$WORK"
}
trap finish EXIT

fail() {
  echo "失败 FAILED: $*" >&2
  tail -n 30 "$WORK"/*.log >&2 || true
  exit 1
}
# until SECONDS WHAT COMMAND…: waits for a condition, not for luck.
until_true() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] || fail "$what"
    sleep 0.2
  done
}
free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

need() { command -v "$1" >/dev/null || [ -x "$1" ] || fail "缺少 missing: $1 ($2)"; }
need qemu-aarch64 "make dist-setup"
need qemu-arm "make dist-setup"
need /usr/sbin/mosquitto "tests/setup.sh"
need mosquitto_sub "tests/setup.sh"
need jq "tests/setup.sh"
need curl "apt-get install curl"
need "$PLANT" "cargo build -p fengsui-plant"
need "$CENTRE" "cargo build -p fengsui"

sed 's/^port = .*/port = 0/' configs/demo/plant.toml > "$WORK/plant.toml"
"$PLANT" --config "$WORK/plant.toml" --json > "$WORK/ports.json" 2> "$WORK/plant.log" &
STARTED+=($!)
broker=$(free_port)
printf 'listener %s 127.0.0.1\nallow_anonymous true\npersistence false\n' "$broker" > "$WORK/mosquitto.conf"
/usr/sbin/mosquitto -c "$WORK/mosquitto.conf" > "$WORK/broker.log" 2>&1 &
STARTED+=($!)
# Nothing newer than its start is published before the centre has spoken.
printf 'data = "%s/centre"\n[http]\nlisten = "127.0.0.1:%s"\n[mqtt]\nbroker = "127.0.0.1:%s"\n[[gateway]]\nid = "GW-01"\nlimits = "limits.csv"\n' \
  "$WORK" "$(free_port)" "$broker" > "$WORK/centre.toml"
cp configs/demo/limits.csv "$WORK/"
"$CENTRE" serve --config "$WORK/centre.toml" > "$WORK/centre.log" 2>&1 &
STARTED+=($!)
until_true 20 "the plant names no port" jq -e '.devices | length == 3' "$WORK/ports.json"
port_of() { jq -r ".devices[] | select(.device == \"$1\") | .port" "$WORK/ports.json"; }

# The log bears colours.
reopened() { sed 's/\x1b\[[0-9;]*m//g' "$1" | grep -E 'spool opened.*next=[1-9]'; }

# acknowledged BINARY CONFIG: all but the last seconds.
acknowledged() {
  "$emulator" -L "$root" "$1" spool status --config "$2" --json | jq -e '.durable_next > 0 and .unacknowledged < .next'
}

# run ARCH EMULATOR ROOT
run() {
  local arch=$1 emulator=$2 root=$3 site="$WORK/$1" package
  package=$(echo "$PACKAGES"/fengsui-gateway_*_"$arch".deb)
  [ -e "$package" ] || fail "$package 不存在，先运行 make dist  |  not there: make dist"
  mkdir -p "$site/root"
  dpkg-deb -x "$package" "$site/root"
  local binary="$site/root/usr/bin/fengsui-gateway"
  cp configs/demo/points.csv "$site/"
  awk -v tank="$(port_of plc-tank)" -v gas="$(port_of gas)" -v dam="$(port_of dam)" '
    /^name = "plc-tank"/ { port = tank } /^name = "gas"/ { port = gas } /^name = "dam"/ { port = dam }
    # Under emulation a reply takes its time.
    /^timeout_ms/ { print "timeout_ms = 2000"; next }
    /^port = / { print "port = " port; next } { print }' configs/demo/site.toml > "$site/site.toml"
  # Below what the plant begins with: the first reading sounds the siren.
  sed 's/^TK-101.LT,H,85/TK-101.LT,H,12/' configs/demo/limits.csv > "$site/limits.csv"
  local health
  health=$(free_port)
  cat > "$site/gateway.toml" <<TOML
site = "site.toml"
data = "data"
[uplink]
host = "127.0.0.1"
port = $broker
[health]
listen = "127.0.0.1:$health"
[local]
output = "sim"
TOML
  "$emulator" -L "$root" "$binary" --version
  "$emulator" -L "$root" "$binary" check "$site/gateway.toml" >/dev/null || fail "$arch: check"

  local log="$WORK/$arch-1.log" heard="$WORK/$arch.heard"
  mosquitto_sub -p "$broker" -t 'fengsui/#' -F '%t %l' > "$heard" 2>> "$WORK/broker.log" &
  STARTED+=($!)
  "$emulator" -L "$root" "$binary" run --config "$site/gateway.toml" 2> "$log" &
  local gateway=$!
  STARTED+=("$gateway")
  until_true 60 "$arch: siren is silent" jq -e '.sounding and (.alarms | index("GW-01/TK-101.LT/H"))' "$site/data/siren.json"
  until_true 30 "$arch: no batch reached the broker" grep -q '/live ' "$heard"
  until_true 30 "$arch: the centre has nothing" acknowledged "$binary" "$site/gateway.toml"
  until_true 30 "$arch: no heartbeat" grep -q '/beat ' "$heard"
  until_true 30 "$arch: /healthz" curl -fsS "http://127.0.0.1:$health/healthz"
  curl -fsS "http://127.0.0.1:$health/healthz" > "$WORK/$arch.health"
  kill -TERM "$gateway"
  wait "$gateway" || fail "$arch: end with status $?"

  "$emulator" -L "$root" "$binary" run --config "$site/gateway.toml" 2> "$WORK/$arch-2.log" &
  gateway=$!
  STARTED+=("$gateway")
  until_true 60 "$arch: records were not found again" reopened "$WORK/$arch-2.log"
  kill -TERM "$gateway"
  wait "$gateway" || fail "$arch: second end with status $?"
  echo "$arch：读取、报警、存储、上送、重启均正常  |  reads, sounds, keeps, publishes, restarts:" \
    "$(grep -c '/live ' "$heard") batches, $(grep -c '/beat ' "$heard") beats, $(du -k "$binary" | cut -f1) KiB"
}

# Both, or the one that is named.
case "${1:-all}" in all | arm64) run arm64 qemu-aarch64 /usr/aarch64-linux-gnu ;; esac
case "${1:-all}" in all | armhf) run armhf qemu-arm /usr/arm-linux-gnueabihf ;; esac
