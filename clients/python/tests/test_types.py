"""The types, as a type checker of a user sees them."""

import pathlib
import subprocess
import sys

import pytest

import sandtable

USER = """
from datetime import datetime
import sandtable

def user(workspace: sandtable.Workspace) -> None:
    now: datetime = workspace.clock.advance("30d")
    status: int = workspace.journal[0].status
    dollars: float = workspace.usage()["usd"]
    states: list[str] = [each.state for each in workspace.containers.list()]
    wrong: int = workspace.base_url
    workspace.clock.advnace("30d")
"""


def test_the_package_and_its_users_are_checked(tmp_path):
    pytest.importorskip("mypy")
    package = pathlib.Path(sandtable.__file__).parent
    (tmp_path / "user.py").write_text(USER)
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache")]
    done = subprocess.run([*command, str(package)], stdout=subprocess.PIPE, cwd=tmp_path, text=True)
    assert done.returncode == 0, done.stdout
    done = subprocess.run([*command, "user.py"], stdout=subprocess.PIPE, cwd=tmp_path, text=True)
    found = [line for line in done.stdout.splitlines() if ": error:" in line]
    assert [line.split(":")[1] for line in found] == ["10", "11"], done.stdout
