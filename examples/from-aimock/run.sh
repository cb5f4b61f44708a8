#!/bin/sh
# Fixtures match parts of a request, as rules do: they become a script.
set -eu
cd "$(dirname "$0")"
python to_script.py fixtures.json > script.json
sandtable check script.json
sandtable run --backend none --script script.json -- python app.py
