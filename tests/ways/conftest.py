"""The ways in, taken as their users take them: what `scripts/release` has made is installed and started.

    scripts/release && python -m pytest tests/ways

`SANDTABLE_DIST` names the folder of what was made, if it is not `dist/`. What is missing (npm, an engine) is said and
skipped; with `docker` in `SANDTABLE_TEST_REQUIRE` the engine's absence is a failure.
"""

import os
import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
DIST = pathlib.Path(os.environ.get("SANDTABLE_DIST", ROOT / "dist")).resolve()
VERSION = next(
    line.split('"')[1] for line in (ROOT / "Cargo.toml").read_text().splitlines() if line.startswith("version = ")
)
# What `--version` says: in a release with the commit and its date.
SAID = re.compile(rf"sandtable {re.escape(VERSION)}( \([0-9a-f]+ [0-9-]+\))?\n")


def only(pattern):
    """The one file of the release that the pattern means."""
    found = sorted(DIST.glob(pattern))
    assert len(found) == 1, f"{DIST} has {[path.name for path in found]} for `{pattern}`: run `scripts/release`"
    return found[0]


def bare(**more):
    """An environment without traces of other installations."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SANDTABLE_", "ANTHROPIC_", "PYTEST_"))}
    for name in ("PIP_FIND_LINKS", "PYTHONPATH", "CARGO_TARGET_DIR", "VIRTUAL_ENV"):
        kept.pop(name, None)
    return {**kept, **{name: str(value) for name, value in more.items()}}


def run(*command, cwd, env=None, code=0, timeout=300):
    """What a command says, if it ends with `code`."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=bare() if env is None else env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == code, f"{command}: exit code {done.returncode}\n{done.stdout[-4000:]}"
    return done.stdout


@pytest.fixture
def elsewhere(tmp_path):
    """A folder far from any checkout."""
    return tmp_path


@pytest.fixture(scope="session")
def engine():
    """`docker`, where an engine answers and the images were made."""
    docker = shutil.which("docker")
    found = docker and subprocess.run(
        [docker, "image", "inspect", "sandtable:slim"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
    )
    if found and found.returncode == 0:
        return docker
    if "docker" in os.environ.get("SANDTABLE_TEST_REQUIRE", ""):
        pytest.fail("there is no image `sandtable:slim`: run `scripts/release image`")
    pytest.skip("there is no image `sandtable:slim`")
