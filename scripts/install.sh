#!/bin/sh
# Installs the program of a release for this user, after a look at its checksum:
#
#   curl -fsSL RELEASE/install.sh | sh
#
#   SANDTABLE_RELEASE      where the files of the release are: a URL, or a folder here
#   SANDTABLE_INSTALL_DIR  where the program goes; `~/.local/bin` if not given
set -eu
# A release puts its own address here.
default=
release=${SANDTABLE_RELEASE:-$default}
into=${SANDTABLE_INSTALL_DIR:-${HOME:-}/.local/bin}

fail() { printf 'sandtable: %s\n' "$1" >&2; exit 1; }

[ -n "$release" ] || fail "no version is published yet; SANDTABLE_RELEASE names the folder of a release"
[ -n "${SANDTABLE_INSTALL_DIR:-}${HOME:-}" ] || fail "HOME is not set; SANDTABLE_INSTALL_DIR names the folder for the program"
[ "$(uname -s)" = Linux ] || fail "there is no program for $(uname -s); run the image, as \`docker run -p 127.0.0.1:4010:4010 sandtable:full\` does"
target=$(uname -m)-unknown-linux-gnu
case $(ldd --version 2>&1 || true) in
  *musl*) fail "the program needs glibc, and this system has musl; run the image" ;;
esac

# A folder here may have any name, which no URL has as it is.
folder=${release#file://}
if [ -d "$folder" ]; then
  release=$folder
  get() { cp -- "$1" "$2"; }
elif command -v curl >/dev/null; then
  get() { curl -fsSL --retry 3 -o "$2" "$1"; }
elif command -v wget >/dev/null; then
  get() { wget -q -O "$2" "$1"; }
else
  fail "neither curl nor wget is here"
fi
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
get "$release/SHA256SUMS" "$place/SHA256SUMS" || fail "\`$release/SHA256SUMS\` cannot be fetched"
archive=$(sed -n "s/^[0-9a-f]*  \(sandtable-[^ ]*-$target\.tar\.gz\)\$/\1/p" "$place/SHA256SUMS")
[ -n "$archive" ] || fail "the release has no program for $target"
get "$release/$archive" "$place/$archive" || fail "\`$release/$archive\` cannot be fetched"
(cd "$place" && grep -F "  $archive" SHA256SUMS | sha256sum -c - >/dev/null 2>&1) || fail "\`$archive\` is not what SHA256SUMS says"
tar -xzf "$place/$archive" -C "$place"
mkdir -p "$into"
# Moved into place whole, also over one that runs.
cp "$place/${archive%.tar.gz}/sandtable" "$into/.sandtable.new"
chmod 755 "$into/.sandtable.new"
mv -f "$into/.sandtable.new" "$into/sandtable"
"$into/sandtable" --version
case :$PATH: in
  *:"$into":*) ;;
  *) printf '%s is not on the PATH\n' "$into" ;;
esac
