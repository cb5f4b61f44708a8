#!/bin/sh
# The agent in Python and in TypeScript, each against the script and the faults.
set -eu
cd "$(dirname "$0")"
sandtable run --backend none --script script.yaml --faults faults.json -- python agent.py
sandtable run --backend none --script script.yaml --faults faults.json -- npx tsx agent.ts
