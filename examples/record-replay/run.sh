#!/bin/sh
# Replays: no key, no network, no sandbox. Then once more, with an overload that the program has to survive or report.
set -eu
cd "$(dirname "$0")"
sandtable run --cassette cassettes --backend none --junit report.xml -- python report.py
sandtable run --cassette cassettes --backend none --faults busy.json -- python report.py
