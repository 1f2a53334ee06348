#!/usr/bin/env bash
# Prepares what the programs in this folder need, inside the project: a venv with pymodbus and
# modbus-tk, and the unpacked methane series. Does nothing that is done already.
set -euo pipefail
cd "$(dirname "$0")/../.."

venv=.venv/pymodbus
if ! cmp -s tests/peers/requirements.txt "$venv/requirements.txt"; then
  [ -x "$venv/bin/pip" ] || python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet -r tests/peers/requirements.txt
  cp tests/peers/requirements.txt "$venv/requirements.txt"
fi

series=.venv/metec_ch4/ADED2022.csv
if [ ! -s "$series" ]; then
  mkdir -p "$(dirname "$series")"
  gzip -dc tests/data/metec_ch4/ADED2022.csv.gz > "$series.part"
  mv "$series.part" "$series"
fi
echo "$venv/bin/python"
echo "$series"
