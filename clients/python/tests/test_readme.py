"""Every snippet of the README runs, and the wheel it tells how to make works where there is nothing else."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import sysconfig

import pytest

from sandtable import find_binary

PACKAGE = pathlib.Path(__file__).resolve().parent.parent
README = (PACKAGE / "README.md").read_text(encoding="utf-8")


def snippets(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def test_there_are_as_many_snippets_as_are_run_here():
    assert (README.count("```python\n"), README.count("```sh\n")) == (2, 2)
    assert len(re.findall(r"^```", README, re.MULTILINE)) == 2 * 4
    assert (len(snippets("python")), len(snippets("sh"))) == (2, 2)


def test_the_tests_of_the_readme_pass(pytester, sandbox):
    pytester.makepyfile(test_readme_tests=snippets("python")[0])
    pytester.runpytest_subprocess(timeout=120).assert_outcomes(passed=3)


def test_the_script_of_the_readme_runs(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", snippets("python")[1]], cwd=tmp_path, stdout=subprocess.PIPE, text=True, timeout=60
    )
    assert done.returncode == 0 and done.stdout.startswith("http://127.0.0.1:"), done.stdout


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    """A new environment without packages, and a checkout whose server is built. The present environment
    lends setuptools, pytest, and the SDK, in place of a registry."""
    checkout = tmp_path / "checkout"
    junk = shutil.ignore_patterns("build", "*.egg-info", "__pycache__")
    shutil.copytree(PACKAGE, checkout / "clients/python", ignore=junk)
    (checkout / "Cargo.toml").write_text('[package]\nname = "sandtable"\n')
    (checkout / "target/release").mkdir(parents=True)
    os.symlink(find_binary(), checkout / "target/release/sandtable")
    shims = tmp_path / "shims"
    shims.mkdir()
    (shims / "cargo").write_text("#!/bin/sh\nexit 0\n")
    (shims / "cargo").chmod(0o755)
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    for name, value in {
        "PATH": f"{tmp_path / 'venv/bin'}:{shims}:/usr/bin:/bin",
        "PYTHONPATH": sysconfig.get_path("purelib"),
        "PIP_NO_INDEX": "1",
        # This is how pip spells "do not isolate".
        "PIP_NO_BUILD_ISOLATION": "0",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("SANDTABLE_BIN", "SANDTABLE_BUNDLE", "PIP_FIND_LINKS", "PYTHONDONTWRITEBYTECODE", "CARGO_TARGET_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(checkout)
    return tmp_path


def shell(commands):
    done = subprocess.run(["bash", "-euc", commands], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-4000:]


def installed(fresh):
    return next((fresh / "venv/lib").glob("python*/site-packages")) / "sandtable"


def test_the_package_is_installed_from_a_checkout(fresh):
    shell(snippets("sh")[0])
    elsewhere = fresh / "elsewhere"
    elsewhere.mkdir()
    done = subprocess.run(
        [fresh / "venv/bin/python", "-c", "import sandtable; print(sandtable.find_binary())"],
        cwd=elsewhere,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert done.stdout == f"{fresh / 'checkout/target/release/sandtable'}\n"


def test_a_wheel_that_holds_the_program_needs_nothing_else(fresh, monkeypatch):
    shell(snippets("sh")[1])
    (wheel,) = pathlib.Path("dist").iterdir()
    assert re.fullmatch(r"sandtable-0\.1\.0-py3-none-\w*linux\w*\.whl", wheel.name)
    program = installed(fresh) / "bin/sandtable"
    assert os.access(program, os.X_OK)

    shutil.rmtree(fresh / "checkout")
    place = fresh / "elsewhere"
    place.mkdir()
    (place / "test_wheel.py").write_text(
        "import sandtable\n"
        "def test_wheel(sandtable, sandtable_server):\n"
        "    assert sandtable.clock.now\n"
        "    with open(f'/proc/{sandtable_server.pid}/cmdline') as line:\n"
        f"        assert line.read().startswith('{program}')\n"
    )
    monkeypatch.chdir(place)
    monkeypatch.setenv("PATH", "")
    done = subprocess.run([fresh / "venv/bin/python", "-m", "pytest", "-q"], stdout=subprocess.PIPE, text=True, timeout=120)
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout


def test_a_bundle_that_is_not_there_is_refused(fresh, monkeypatch):
    monkeypatch.setenv("SANDTABLE_BUNDLE", "/nowhere/sandtable")
    done = subprocess.run(
        ["pip", "wheel", "--no-deps", "clients/python"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert done.returncode != 0 and "SANDTABLE_BUNDLE names `/nowhere/sandtable`, which is no file" in done.stdout
