#!/bin/sh
# Installs sandtable into the image of a dev container: `sandtable` on the PATH, in an environment of its own.
set -eu
wanted=${VERSION:-latest}
packages=${PACKAGES:-}

if ! python3 -c 'import ensurepip' >/dev/null 2>&1; then
  if ! command -v apt-get >/dev/null; then
    echo "sandtable needs Python 3 with venv, and knows how to install it on Debian and Ubuntu alone" >&2
    exit 1
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends python3 python3-venv ca-certificates >/dev/null
  rm -rf /var/lib/apt/lists/*
fi
python3 -m venv /opt/sandtable
set -- sandtable
[ "$wanted" = latest ] || set -- "sandtable==$wanted"
[ -z "$packages" ] || set -- --no-index --find-links "$packages" "$@"
/opt/sandtable/bin/python -m pip install --quiet --disable-pip-version-check "$@"
ln -sf /opt/sandtable/bin/sandtable /usr/local/bin/sandtable
sandtable --version
