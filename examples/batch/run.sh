#!/bin/sh
# The job in Python and in TypeScript. A batch is done at once here, so there is no need to wait long.
set -eu
cd "$(dirname "$0")"
export POLL_SECONDS=0.05
sandtable run --backend none --script script.yaml -- python job.py
sandtable run --backend none --script script.yaml -- npx tsx job.ts
