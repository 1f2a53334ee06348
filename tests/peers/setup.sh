#!/usr/bin/env bash
# Prepares what the programs in this folder need, inside the project: a venv with pymodbus and
# modbus-tk, one with tahu (its protobuf suits nobody else), and the unpacked methane series. Does
# nothing that is done already.
set -euo pipefail
cd "$(dirname "$0")/../.."

venv_of() { # folder, requirements
  if ! cmp -s "$2" "$1/requirements.txt"; then
    [ -x "$1/bin/pip" ] || python3 -m venv "$1"
    "$1/bin/pip" install --quiet -r "$2"
    cp "$2" "$1/requirements.txt"
  fi
}
venv=.venv/pymodbus
venv_of "$venv" tests/peers/requirements.txt
venv_of .venv/sparkplug tests/peers/sparkplug/requirements.txt

series=.venv/metec_ch4/ADED2022.csv
if [ ! -s "$series" ]; then
  mkdir -p "$(dirname "$series")"
  gzip -dc tests/data/metec_ch4/ADED2022.csv.gz > "$series.part"
  mv "$series.part" "$series"
fi
echo "$venv/bin/python"
echo "$series"
