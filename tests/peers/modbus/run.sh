#!/usr/bin/env bash
# Our reader against pymodbus, modbus-tk and libmodbus, with mbpoll as the independent eye.
set -euo pipefail
cd "$(dirname "$0")/../../.."
bash tests/peers/setup.sh > /dev/null
target=${CARGO_TARGET_DIR:-target}
mkdir -p "$target/peers"
cc -O1 -Wall -I/usr/include/modbus -o "$target/peers/serve-libmodbus" tests/peers/modbus/serve.c -lmodbus
PYTHONDONTWRITEBYTECODE=1 .venv/pymodbus/bin/python tests/peers/modbus/check.py \
  "$target/debug/fengsui-gateway" "$target/peers/serve-libmodbus"
