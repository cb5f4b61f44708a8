"""The Testcontainers modules for Python and Node, on top of the official libraries, with our image.

Their own reaper is an image that only a registry has, so it is off here: each test removes what it started.
"""

import json
import os
import pathlib
import shutil
import urllib.error
import urllib.request

import pytest
from conftest import ROOT, bare, run

PACKAGES = ROOT / "tests/ways/testcontainers/node_modules"


def ask(workspace, prompt):
    request = {"model": "claude-opus-4-6", "max_tokens": 64, "messages": [{"role": "user", "content": prompt}]}
    headers = {"x-api-key": workspace.api_key, "anthropic-version": "2023-06-01", "content-type": "application/json"}
    call = urllib.request.Request(workspace.base_url + "/v1/messages", json.dumps(request).encode(), headers)
    with urllib.request.urlopen(call, timeout=60) as answer:
        return json.load(answer)["content"][0]["text"]


@pytest.fixture
def module(engine, monkeypatch):
    monkeypatch.setenv("TESTCONTAINERS_RYUK_DISABLED", "true")
    monkeypatch.syspath_prepend(ROOT / "clients/python/src")
    from testcontainers.core.config import testcontainers_config

    monkeypatch.setattr(testcontainers_config, "ryuk_disabled", True)
    import sandtable.testcontainers

    return sandtable.testcontainers


def test_the_python_module_hands_out_workspaces_with_clock_scripts_and_faults(module):
    with module.SandtableContainer("sandtable:slim", control_token="secret") as container:
        workspace = container.workspace()
        assert workspace.base_url == container.base_url
        before = workspace.clock.now
        assert (workspace.clock.advance("30d") - before).days == 30
        workspace.scripts.put("- then: [{ text: Hello. }]")
        workspace.faults.overloaded(times=1)
        with pytest.raises(urllib.error.HTTPError, match="529"):
            ask(workspace, "hello")
        assert ask(workspace, "hello") == "Hello."
        with pytest.raises(urllib.error.HTTPError, match="40[13]"):
            urllib.request.urlopen(f"{container.base_url}/_sandtable/clock", timeout=30)


def test_the_python_module_passes_settings_on_and_knows_another_host_s_name(module, monkeypatch):
    # As where DOCKER_HOST names another machine: requests then bear its name.
    monkeypatch.setattr(module.SandtableContainer, "_engine_host", lambda _: "engine.test")
    with module.SandtableContainer("sandtable:slim").with_env("SANDTABLE_SEED", "7") as container:
        request = urllib.request.Request(f"http://localhost:{container.get_exposed_port(4010)}/_sandtable/health")
        request.add_header("Host", "engine.test")
        assert urllib.request.urlopen(request, timeout=30).status == 200


def test_the_node_module_hands_out_workspaces_with_clock_scripts_and_faults(engine, elsewhere):
    node = shutil.which("node")
    if not node or not PACKAGES.is_dir():
        if "docker" in os.environ.get("SANDTABLE_TEST_REQUIRE", ""):
            pytest.fail(f"{PACKAGES} is not there: run `.ci/run --prepare`")
        pytest.skip("the packages of tests/ways/testcontainers are not installed")
    (elsewhere / "node_modules").mkdir()
    (elsewhere / "node_modules/sandtable").symlink_to(ROOT / "clients/node")
    shutil.copy(ROOT / "tests/ways/testcontainers/use.cjs", elsewhere / "use.cjs")
    env = bare(NODE_PATH=PACKAGES, TESTCONTAINERS_RYUK_DISABLED="true")
    assert run(node, "use.cjs", cwd=elsewhere, env=env).endswith("used\n")


def test_the_module_for_node_is_typed_against_the_official_library(engine, elsewhere):
    compiler = ROOT / "clients/node/node_modules/typescript/bin/tsc"
    if not compiler.exists() or not PACKAGES.is_dir():
        pytest.skip("the packages of clients/node are not installed")
    modules = elsewhere / "node_modules"
    modules.mkdir()
    for package in pathlib.Path(PACKAGES).iterdir():
        if not package.name.startswith("."):
            (modules / package.name).symlink_to(package)
    # A copy: a link would be looked up from where it leads.
    shutil.copytree(ROOT / "clients/node/src", modules / "sandtable/src")
    shutil.copy(ROOT / "clients/node/package.json", modules / "sandtable/package.json")
    (elsewhere / "package.json").write_text('{"type": "module"}')
    (elsewhere / "user.ts").write_text(
        'import { SandtableContainer } from "sandtable/testcontainers";\n'
        'const started = await new SandtableContainer().withControlToken("x").withEnvironment({ A: "b" }).start();\n'
        "const url: string = started.baseUrl;\n"
        "const host: string = started.getHost();\n"
        "const wrong: number = started.baseUrl;\n"
        "export const all = [url, host, wrong, started.workspace().apiKey];\n"
    )
    options = ["--strict", "--noEmit", "--module", "nodenext", "--target", "es2022", "--lib", "esnext", "--skipLibCheck", "false"]
    said = run(shutil.which("node"), compiler, *options, "--types", "node", "user.ts", cwd=elsewhere, code=2)
    ours = [line for line in said.splitlines() if line.startswith(("user.ts", "node_modules/sandtable"))]
    assert [line.split(":")[0] for line in ours] == ["user.ts(5,7)"], said
