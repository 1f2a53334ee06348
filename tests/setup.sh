#!/usr/bin/env bash
# Installs, by package name, what the tests need and this machine lacks. Debian 12.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
need() { # package, file or command that shows it is there
  if ! command -v "$2" >/dev/null 2>&1 && [ ! -e "$2" ]; then missing+=("$1"); fi
}
need build-essential cc
need mosquitto /usr/sbin/mosquitto
need mosquitto-clients mosquitto_pub
need mbpoll mbpoll
need socat socat
need libmodbus-dev /usr/include/modbus/modbus.h
need strace strace
need victoria-metrics victoria-metrics
need chromium chromium
need fonts-noto-cjk /usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc
need python3-venv /usr/share/doc/python3-venv
need jq jq
need strace strace

if [ "${#missing[@]}" -gt 0 ]; then
  echo "安装 installing: ${missing[*]}"
  as_root=()
  [ "$(id -u)" = 0 ] || as_root=(sudo)
  # Packages that start a service are not to start one here: tests run their own, on loopback.
  policy=/usr/sbin/policy-rc.d
  placed=
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
    "${as_root[@]}" chmod +x "$policy"
    placed=1
  fi
  "${as_root[@]}" apt-get update -qq
  DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}"
  [ -z "$placed" ] || "${as_root[@]}" rm -f "$policy"
fi

tests/peers/setup.sh
if [ ! -d tests/browser/node_modules/playwright-core ]; then
  (cd tests/browser && npm ci --ignore-scripts --no-audit --no-fund)
fi
