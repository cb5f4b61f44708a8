#!/bin/sh
# The test before; the import; the test after. Nothing is asked of any network.
set -eu
cd "$(dirname "$0")"
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
python -m pytest -q -p no:sandtable --record-mode none before
sandtable import before/cassettes --out after/sandtable_cassettes
sandtable run --backend none --cassette-dir after -- python -m pytest -q after
