#!/bin/sh
# Needs something that runs code: Docker, or namespaces (`sandtable doctor` says which is there).
set -eu
cd "$(dirname "$0")"
sandtable run --script script.yaml -- python agent.py
sandtable run --script script.yaml -- npx tsx agent.ts
