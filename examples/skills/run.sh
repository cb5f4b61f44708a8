#!/bin/sh
# Needs something that runs code: Docker, or namespaces (`sandtable doctor` says which is there).
set -eu
cd "$(dirname "$0")"
sandtable check script.yaml
sandtable run --script script.yaml -- python publish.py
