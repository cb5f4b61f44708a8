#!/bin/sh
# Records anew, with your key, from the real service or from what UPSTREAM names. The cassette is to be committed.
set -eu
cd "$(dirname "$0")"
sandtable record --upstream "${UPSTREAM:-https://api.anthropic.com}" --out cassettes/report.yaml -- python report.py
