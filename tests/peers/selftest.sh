#!/usr/bin/env bash
# The peers checked against facts counted by hand and against each other. No product code runs.
set -euo pipefail
cd "$(dirname "$0")/../.."
bash tests/peers/setup.sh > /dev/null
python=.venv/pymodbus/bin/python
series=tests/data/metec_ch4/ADED2022.csv.gz
export PYTHONDONTWRITEBYTECODE=1
"$python" tests/peers/oracle.py "$series" --selftest
"$python" tests/peers/compare.py --selftest
"$python" tests/peers/replay_server.py --selftest
"$python" tests/peers/check_replay.py "$series"
.venv/sparkplug/bin/python tests/peers/sparkplug/golden.py | cmp - tests/data/sparkplug/edge.txt
