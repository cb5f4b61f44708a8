"""pip, pipx, and uvx, from the files that a registry would hold."""

import os
import pathlib
import subprocess
import sys
import zipfile

import pytest
from conftest import DIST, SAID, VERSION, bare, only, run

TOOLS = pathlib.Path(sys.executable).parent
# As from a registry that has nothing else.
ONLY_OURS = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(DIST), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
PLUGIN = """
def test_a_workspace(sandtable, sandtable_server):
    assert sandtable.clock.now
    with open(f"/proc/{sandtable_server.pid}/cmdline") as line:
        print("runs", line.read().split(chr(0))[0])
"""


@pytest.fixture
def venv(elsewhere):
    run(sys.executable, "-m", "venv", elsewhere / "venv", cwd=elsewhere)
    return elsewhere / "venv"


def test_pip_takes_the_wheel_with_the_program_and_the_command_is_the_program(elsewhere, venv):
    run(venv / "bin/pip", "install", "sandtable", cwd=elsewhere, env=bare(**ONLY_OURS))
    command = venv / "bin/sandtable"
    assert command.read_bytes()[:4] == b"\x7fELF"
    assert SAID.fullmatch(run(command, "--version", cwd=elsewhere))


def test_the_plugin_of_the_wheel_starts_the_program_of_the_wheel_without_a_path(elsewhere, venv):
    run(venv / "bin/pip", "install", "sandtable", cwd=elsewhere, env=bare(**ONLY_OURS))
    # pytest is lent by this environment, in place of a registry.
    lent = pathlib.Path(pytest.__file__).parent.parent
    (elsewhere / "test_one.py").write_text(PLUGIN)
    said = run(
        venv / "bin/python", "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", "--sandtable-backend", "none", "test_one.py",
        cwd=elsewhere,
        env=bare(PYTHONPATH=lent, PATH=""),
    )
    assert "1 passed" in said and f"runs {venv / 'bin/sandtable'}" in said, said


def test_pipx_and_uvx_run_it_in_one_command(elsewhere):
    home = {"PIPX_HOME": elsewhere / "pipx", "PIPX_DEFAULT_PYTHON": sys.executable, "HOME": elsewhere}
    # pipx brings pip itself from the index; ours is a file, whatever the index has under the name.
    (wheel,) = [path for path in DIST.glob("*.whl") if "none-any" not in path.name]
    said = run(
        TOOLS / "pipx", "run", "--backend", "pip", "--spec", wheel, "sandtable", "--version", cwd=elsewhere, env=bare(**home)
    )
    assert SAID.search(said), said
    uv = {"UV_CACHE_DIR": elsewhere / "uv", "UV_PYTHON": sys.executable, "UV_PYTHON_DOWNLOADS": "never"}
    said = run(
        TOOLS / "uvx", "--no-index", "--find-links", DIST, "sandtable", "--version", cwd=elsewhere, env=bare(**uv)
    )
    assert SAID.search(said), said


def test_the_wheel_with_the_program_has_no_other_command_and_the_plugin(elsewhere):
    (wheel,) = [path for path in DIST.glob("*.whl") if "none-any" not in path.name]
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (entries,) = [archive.read(name).decode() for name in names if name.endswith("/entry_points.txt")]
        (metadata,) = [archive.read(name).decode() for name in names if name.endswith("/METADATA")]
    assert "[pytest11]" in entries and "console_scripts" not in entries
    assert f"sandtable-{VERSION}.data/scripts/sandtable" in names
    assert {"sandtable/pytest_plugin.py", "sandtable/py.typed", "sandtable/binary.py"} <= set(names)
    assert f"\nVersion: {VERSION}\n" in metadata and "\nRequires-Python: >=3.9\n" in metadata


@pytest.fixture
def pure(elsewhere, venv):
    """An environment as on a system that there is no program for."""
    run(venv / "bin/pip", "install", "--no-index", only("sandtable-*-none-any.whl"), cwd=elsewhere)
    return venv


def test_the_wheel_without_the_program_says_which_image_to_run(elsewhere, pure):
    said = run(pure / "bin/sandtable", "--version", cwd=elsewhere, code=127, env=bare(PATH=f"{pure}/bin:/usr/bin:/bin"))
    assert said.startswith("sandtable: there is no `sandtable` program\n"), said
    assert "docker run -p 127.0.0.1:4010:4010 sandtable:full" in said and "SANDTABLE_URL=" in said, said


def test_the_command_without_a_program_runs_one_that_is_elsewhere_and_is_not_taken_for_it(elsewhere, pure):
    (elsewhere / "other").mkdir()
    program = elsewhere / "other/sandtable"
    program.write_text("#!/bin/sh\necho ran $@\nexit 5\n")
    program.chmod(0o755)
    # The command comes first on the PATH, and would find itself.
    path = f"{pure}/bin:{elsewhere}/other:/usr/bin:/bin"
    assert run(pure / "bin/sandtable", "a", "b", cwd=elsewhere, code=5, env=bare(PATH=path)) == "ran a b\n"
    assert run(pure / "bin/sandtable", cwd=elsewhere, code=5, env=bare(SANDTABLE_BIN=program, PATH="")) == "ran\n"


def test_a_server_that_is_asked_for_without_a_program_says_so_instead_of_starting_the_command(elsewhere, pure):
    done = subprocess.run(
        [pure / "bin/python", "-c", "from sandtable import Server; Server().start()"],
        cwd=elsewhere,
        env=bare(PATH=f"{pure}/bin:{os.defpath}"),
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1 and "NotFoundError: there is no `sandtable` program" in done.stderr, done.stderr
