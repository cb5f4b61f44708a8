"""npm and npx, from a registry on the loopback address that holds our packages alone."""

import json
import os
import platform
import shutil
import signal
import subprocess

import pytest
from conftest import DIST, SAID, bare, run
from registry import registry

ARCH = {"x86_64": "x64", "aarch64": "arm64"}[platform.machine()]
START = """
import fs from "node:fs";
import { Server } from "sandtable";
const server = await Server.start({ backend: "none" });
console.log(fs.readFileSync(`/proc/${server.pid}/cmdline`, "utf8").split("\\0")[0]);
await server.stop();
"""


@pytest.fixture
def project(elsewhere):
    if not shutil.which("npm"):
        pytest.skip("there is no npm")
    (elsewhere / "package.json").write_text('{"name": "user", "type": "module", "private": true}')
    return elsewhere


@pytest.fixture
def served():
    with registry(DIST) as (address, asked):
        yield address, asked


def settings(project, served, **more):
    return bare(
        npm_config_registry=served[0],
        npm_config_cache=project / "cache",
        npm_config_audit="false",
        npm_config_fund="false",
        npm_config_update_notifier="false",
        npm_config_yes="true",
        **more,
    )


def own_program(project):
    return project / f"node_modules/@sandtable/linux-{ARCH}/bin/sandtable"


def test_npx_runs_the_program_in_one_command(project, served):
    said = run("npx", "sandtable", "--version", cwd=project, env=settings(project, served))
    assert SAID.fullmatch(said)


def test_npm_installs_the_program_of_this_platform_alone_and_the_helpers_find_it(project, served):
    run("npm", "install", "-D", "sandtable", cwd=project, env=settings(project, served))
    assert os.access(own_program(project), os.X_OK)
    assert [path.name for path in (project / "node_modules/@sandtable").iterdir()] == [f"linux-{ARCH}"]
    # It comes from the registry like any package: no script of ours runs at the installation.
    lock = json.loads((project / "package-lock.json").read_text())
    assert not any(package.get("hasInstallScript") for package in lock["packages"].values())
    (project / "main.js").write_text(START)
    node = shutil.which("node")
    assert run(node, "main.js", cwd=project, env=bare(PATH="")) == f"{own_program(project)}\n"
    # As under `npm test`, where the command itself is on the PATH.
    path = f"{project}/node_modules/.bin:{os.environ['PATH']}"
    assert run(node, "main.js", cwd=project, env=bare(PATH=path)) == f"{own_program(project)}\n"


def test_without_the_optional_package_the_command_says_which_image_to_run(project, served):
    run("npm", "install", "--omit=optional", "sandtable", cwd=project, env=settings(project, served))
    assert not own_program(project).exists()
    node = os.path.dirname(shutil.which("node"))
    env = bare(PATH=f"{project}/node_modules/.bin:{node}:/usr/bin:/bin")
    said = run("sandtable", "--version", cwd=project, env=env, code=127)
    assert said.startswith("sandtable: there is no `sandtable` program\n"), said
    assert "docker run -p 127.0.0.1:4010:4010 sandtable:full" in said, said


def test_the_command_ends_with_the_signal_s_end_of_the_program(project, served):
    run("npm", "install", "sandtable", cwd=project, env=settings(project, served))
    with subprocess.Popen(
        [project / "node_modules/.bin/sandtable", "--backend", "none", "--port", "0"],
        cwd=project,
        env=bare(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as command:
        try:
            banner = ""
            while "ANTHROPIC_API_KEY" not in banner:
                line = command.stdout.readline()
                assert line, banner
                banner += line
            command.send_signal(signal.SIGTERM)
            assert command.wait(timeout=30) == 0
        finally:
            command.kill()
