"""Finding the server's program."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
from typing import Optional

from .errors import NotFoundError

_PACKAGE = pathlib.Path(__file__).resolve().parent


def find_binary(near: Optional[pathlib.Path] = None) -> pathlib.Path:
    """The program: what ``SANDTABLE_BIN`` names, else ``sandtable`` on PATH, else the one inside this
    package, else one built by Cargo from the checkout around this package or around `near` (the present
    directory if not given)."""
    named = os.environ.get("SANDTABLE_BIN")
    if named:
        path = pathlib.Path(named)
        if not path.is_file():
            raise NotFoundError(f"SANDTABLE_BIN names `{named}`, which is no file")
        return path
    on_path = shutil.which("sandtable")
    if on_path:
        return pathlib.Path(on_path)
    for name in ("sandtable", "sandtable.exe"):
        bundled = _PACKAGE / "bin" / name
        if bundled.is_file():
            return bundled
    for start in (_PACKAGE, (near or pathlib.Path.cwd()).resolve()):
        checkout = _checkout(start)
        if checkout:
            return _build(checkout)
    raise NotFoundError(
        "there is no `sandtable` program\n"
        "  hint: set SANDTABLE_BIN to it, put it on PATH, install a wheel that holds it, or work inside a checkout"
    )


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
    for name in ("sandtable", "sandtable.exe"):
        path = checkout / target / "release" / name
        if path.is_file():
            return path
    raise NotFoundError(f"Cargo built `sandtable`, but it is not in `{checkout / target / 'release'}`")
