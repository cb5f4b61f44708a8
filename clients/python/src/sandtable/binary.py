"""Finding the server's program."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
import sysconfig
from typing import Iterator, Optional

from .errors import NotFoundError

_PACKAGE = pathlib.Path(__file__).resolve().parent
_NAMES = ("sandtable", "sandtable.exe")

# What the commands of this package and of the one for Node have in them: they look for the program themselves.
_LAUNCHER = re.compile(rb"sandtable[./\\](src[/\\])?command")
# They are smaller by far than the program, which is not read to tell them apart.
_LAUNCHER_MAX_BYTES = 1_000_000

_NONE_FOUND = """there is no `sandtable` program
  hint: set SANDTABLE_BIN to it, put it on PATH, install a wheel that holds it, or work inside a checkout
  hint: on macOS, on Windows, and where no wheel holds it, run the server in its image:
        docker run -p 127.0.0.1:4010:4010 sandtable:full
        and tell clients ANTHROPIC_BASE_URL=http://127.0.0.1:4010, and pytest SANDTABLE_URL=http://127.0.0.1:4010"""


def find_binary(near: Optional[pathlib.Path] = None) -> pathlib.Path:
    """The program: what ``SANDTABLE_BIN`` names, else ``sandtable`` on PATH, else the one that came with this
    package, else one built by Cargo from the checkout around this package or around `near` (the present
    directory if not given)."""
    named = os.environ.get("SANDTABLE_BIN")
    if named:
        path = pathlib.Path(named)
        if not path.is_file():
            raise NotFoundError(f"SANDTABLE_BIN names `{named}`, which is no file")
        return path
    for path in (*_on_path(), *_with_package()):
        if path.is_file() and not _is_launcher(path):
            return path
    for start in (_PACKAGE, (near or pathlib.Path.cwd()).resolve()):
        checkout = _checkout(start)
        if checkout:
            return _build(checkout)
    raise NotFoundError(_NONE_FOUND)


def _on_path() -> Iterator[pathlib.Path]:
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        found = shutil.which("sandtable", path=folder) if folder else None
        if found:
            yield pathlib.Path(found)


def _with_package() -> Iterator[pathlib.Path]:
    """Where wheels put it: into the package, or beside the interpreter, whose folder need not be on PATH."""
    # `pip install --target FOLDER` makes FOLDER/bin; a user's own installations have a scheme of their own.
    folders = [_PACKAGE / "bin", pathlib.Path(sysconfig.get_path("scripts")), _PACKAGE.parent / "bin"]
    user = f"{os.name}_user"
    if user in sysconfig.get_scheme_names():
        folders.append(pathlib.Path(sysconfig.get_path("scripts", user)))
    for folder in folders:
        for name in _NAMES:
            yield folder / name


def _is_launcher(path: pathlib.Path) -> bool:
    """Whether it is the command of this package, or of another copy of it, which looks for the program itself."""
    try:
        return path.stat().st_size < _LAUNCHER_MAX_BYTES and _LAUNCHER.search(path.read_bytes()) is not None
    except OSError:
        return False


def _checkout(start: pathlib.Path) -> Optional[pathlib.Path]:
    for folder in (start, *start.parents):
        try:
            manifest = (folder / "Cargo.toml").read_text(encoding="utf-8")
        except OSError:
            continue
        if '\nname = "sandtable"\n' in manifest:
            return folder
    return None


def _build(checkout: pathlib.Path) -> pathlib.Path:
    """Builds the program, which takes minutes the first time and a moment later on."""
    cargo = shutil.which("cargo")
    if not cargo:
        raise NotFoundError(
            f"`sandtable` is not built, and there is no `cargo` to build it in `{checkout}`\n"
            "  hint: install Rust, or set SANDTABLE_BIN to the program"
        )
    command = [cargo, "build", "--release", "--locked", "--bin", "sandtable"]
    done = subprocess.run(
        command, cwd=checkout, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    said = done.stdout.decode(errors="replace")
    if done.returncode != 0:
        raise NotFoundError(f"`{' '.join(command[1:])}` failed in `{checkout}`:\n{said[-4000:]}")
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or "target")
    for name in _NAMES:
        path = checkout / target / "release" / name
        if path.is_file():
            return path
    raise NotFoundError(f"Cargo built `sandtable`, but it is not in `{checkout / target / 'release'}`")
