#!/usr/bin/env bash
# The console in a real browser: first against a scripted server, then against a running demo.
set -euo pipefail
cd "$(dirname "$0")"

[ -d node_modules/playwright-core ] || npm ci --ignore-scripts --no-audit --no-fund
node desk.mjs --mock --shots shots/mock

program=${FENGSUI_BIN:-../../target/debug/fengsui}
[ -z "${CARGO_TARGET_DIR:-}" ] || program=${FENGSUI_BIN:-$CARGO_TARGET_DIR/debug/fengsui}
port=$(node -e 'const s=require("net").createServer().listen(0,"127.0.0.1",()=>{console.log(s.address().port);s.close()})')
log=$(mktemp)
"$program" demo --port "$port" 2>"$log" >/dev/null &
demo=$!
trap 'kill "$demo" 2>/dev/null || true; wait "$demo" 2>/dev/null || true' EXIT
for _ in $(seq 1 100); do
  if node -e "fetch('http://127.0.0.1:$port/healthz').then(r=>process.exit(r.ok?0:1),()=>process.exit(1))"; then break; fi
  kill -0 "$demo" || { cat "$log" >&2; exit 1; }
done
node desk.mjs --base "http://127.0.0.1:$port" --shots shots/demo || { tail -40 "$log" >&2; exit 1; }
