#!/bin/sh
# The sweep of one version of the agent in each of its clients: `run.sh [careful|careless|planted] [FLAGS OF SWEEP]`.
# Of `planted` each of the ten bugs is swept. Ends with 3 if a sweep has found something, as it is to with all but `careful`.
set -eu
cd "$(dirname "$0")"
version=careful
case "${1-}" in careful | careless | planted) version=$1 && shift ;; esac
export RETRY_SECONDS="${RETRY_SECONDS-0.05}" TIMEOUT_SECONDS="${TIMEOUT_SECONDS-5}"

# What is compiled once need not be compiled for each run.
built=$(mktemp -d)
trap 'rm -r "$built"' EXIT
npx esbuild "typescript/$version.ts" --bundle --platform=node --format=esm --outfile="$built/agent.mjs" --log-level=error

found=0
sweep() {
  sandtable sweep --backend "${BACKEND-none}" --script "${SCRIPT-script.yaml}" "$@" || found=$?
}
all() {
  if [ "$version" = planted ]; then
    sweep "$@" -- python python/planted.py --client sdk
    sweep "$@" -- python python/planted.py --client plain
  else
    sweep "$@" -- python "python/$version.py"
    sweep "$@" -- python "python/${version}_plain.py"
  fi
  sweep "$@" -- node "$built/agent.mjs"
}

if [ "$version" = planted ]; then
  for BUG in no_reupload_after_expiry first_output_only no_retry_in_stream retry_duplicates ignored_pause \
    swallowed_error endless_retry lost_container partial_json key_in_log; do
    export BUG
    echo "== $BUG"
    all "$@"
  done
else
  all "$@"
fi
exit "$found"
