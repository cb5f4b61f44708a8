"""The shell of the GitHub Action and of the dev container feature, run as a runner would: files in place of GitHub's."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import urllib.request

import pytest
from conftest import DIST, ROOT, SAID, VERSION, bare, run

SCRIPTS = ROOT / "scripts/action"
RULE = "- name: lunch\n  when: { user: lunch }\n  then: [{ text: Soup. }]\n"


class Runner:
    """A job: what its steps have exported reaches the next one."""

    def __init__(self, folder):
        self.folder = folder
        self.files = {name: folder / name for name in ("GITHUB_ENV", "GITHUB_OUTPUT", "GITHUB_PATH", "GITHUB_STEP_SUMMARY")}
        for path in self.files.values():
            path.touch()

    def env(self, **more):
        exported = dict(line.split("=", 1) for line in self.files["GITHUB_ENV"].read_text().splitlines())
        path = [*self.files["GITHUB_PATH"].read_text().split(), *os.defpath.split(":"), str(pathlib.Path(shutil.which("python3")).parent)]
        return bare(RUNNER_TEMP=self.folder, **self.files, **{**exported, "PATH": ":".join(path), **more})

    def step(self, script, code=0, **more):
        return run(SCRIPTS / script, cwd=self.folder, env=self.env(**more), code=code, timeout=180)

    @property
    def outputs(self):
        return dict(line.split("=", 1) for line in self.files["GITHUB_OUTPUT"].read_text().splitlines())


@pytest.fixture
def job(elsewhere):
    job = Runner(elsewhere)
    yield job
    pid = elsewhere / "sandtable/pid"
    if pid.exists():
        subprocess.run(["kill", pid.read_text().strip()], check=False)


def ask(job, prompt):
    request = {"model": "claude-opus-4-6", "max_tokens": 64, "messages": [{"role": "user", "content": prompt}]}
    env = job.env()
    headers = {"x-api-key": env["ANTHROPIC_API_KEY"], "anthropic-version": "2023-06-01", "content-type": "application/json"}
    call = urllib.request.Request(env["ANTHROPIC_BASE_URL"] + "/v1/messages", json.dumps(request).encode(), headers)
    with urllib.request.urlopen(call, timeout=60) as answer:
        return json.load(answer)["content"][0]["text"]


def started(job, **more):
    job.step("install", SANDTABLE_INPUT_PACKAGES=str(DIST))
    (job.folder / "a rule.yaml").write_text(RULE)
    job.step(
        "start", SANDTABLE_INPUT_SCRIPTS=f"{job.folder}/a rule.yaml\n", SANDTABLE_INPUT_ARGS="--backend 'none'", **more
    )


def test_a_job_installs_starts_asks_and_is_judged_well(job):
    started(job)
    assert job.outputs["base-url"] == job.env()["ANTHROPIC_BASE_URL"] == job.env()["SANDTABLE_URL"]
    assert ask(job, "lunch") == "Soup."
    pid = int((job.folder / "sandtable/pid").read_text())
    said = job.step("verify")
    reports = pathlib.Path(job.outputs["reports"])
    assert json.loads((reports / "sandtable.json").read_text())["ok"] is True, said
    assert "<testsuite" in (reports / "sandtable.xml").read_text()
    assert "### sandtable" in job.files["GITHUB_STEP_SUMMARY"].read_text()
    assert not pathlib.Path(f"/proc/{pid}").exists()


def test_a_rule_that_nobody_asked_fails_the_job_and_the_reports_are_there_all_the_same(job):
    started(job)
    job.step("verify", code=3)
    reports = pathlib.Path(job.outputs["reports"])
    assert json.loads((reports / "sandtable.json").read_text())["ok"] is False
    assert not (job.folder / "sandtable/pid").exists()


def test_a_server_that_cannot_start_fails_the_step_with_its_words(job):
    job.step("install", SANDTABLE_INPUT_PACKAGES=str(DIST))
    said = job.step("start", code=1, SANDTABLE_INPUT_ARGS="--script nowhere.yaml")
    assert "::error::sandtable did not start: " in said and "nowhere.yaml" in said, said
    assert "ANTHROPIC_BASE_URL" not in job.files["GITHUB_ENV"].read_text()
    said = job.step("verify", code=1)
    assert "no server was started" in said


def test_flags_are_taken_as_they_are_written(job):
    job.step("install", SANDTABLE_INPUT_PACKAGES=str(DIST))
    (job.folder / "rule.yaml").write_text(RULE)
    scripts = f"  {job.folder}/rule.yaml \n\n"
    said = job.step("start", code=1, SANDTABLE_INPUT_ARGS="--backend none --quirk='container-idle=5m")
    assert "::error::the quotes in `args` do not match" in said, said
    args = "--backend none --config '' --port 0 --control-token 'a secret'"
    said = job.step("start", SANDTABLE_INPUT_SCRIPTS=scripts, SANDTABLE_INPUT_ARGS=args)
    assert "::add-mask::a secret" in said, said
    assert ask(job, "lunch") == "Soup."
    job.step("verify")


def test_flags_of_blanks_are_none(job):
    job.step("install", SANDTABLE_INPUT_PACKAGES=str(DIST))
    job.step("start", SANDTABLE_INPUT_ARGS=" ", SANDTABLE_BACKEND="none")


def test_a_version_that_is_not_there_fails_the_installation(job):
    run(
        SCRIPTS / "install",
        cwd=job.folder,
        env=job.env(SANDTABLE_INPUT_PACKAGES=str(DIST), SANDTABLE_INPUT_VERSION="99.0"),
        code=1,
    )
    job.step("install", SANDTABLE_INPUT_PACKAGES=str(DIST), SANDTABLE_INPUT_VERSION=VERSION)
    assert SAID.fullmatch(run("sandtable", "--version", cwd=job.folder, env=job.env()))


def test_every_input_of_the_actions_reaches_a_script_that_knows_it():
    for action, scripts in (("action.yml", ("install", "start")), ("verify/action.yml", ("verify",))):
        text = (ROOT / action).read_text()
        inputs = set(re.findall(r"inputs\.([\w-]+)", text))
        declared = re.search(r"^inputs:\n(.*?)^\w", text, re.DOTALL | re.MULTILINE).group(1)
        assert inputs == set(re.findall(r"^  ([\w-]+):$", declared, re.MULTILINE)), action
        read = "".join((SCRIPTS / script).read_text() for script in scripts)
        for name in re.findall(r"^ +(SANDTABLE_INPUT_\w+):", text, re.MULTILINE):
            assert name in read, name
        for script in re.findall(r"scripts/action/(\w+)", text):
            assert os.access(SCRIPTS / script, os.X_OK), script


def test_the_dev_container_feature_installs_the_program(engine, elsewhere):
    """In a container of the image's base, which has Python, as root, like a feature's script."""
    feature = ROOT / "devcontainer/sandtable"
    options = json.loads((feature / "devcontainer-feature.json").read_text())
    assert options["version"] == VERSION and set(options["options"]) == {"version", "packages"}
    said = run(
        engine, "run", "--rm", "--user", "0", "--network", "host", "--entrypoint", "sh",
        "--volume", f"{feature}:/feature:ro", "--volume", f"{DIST}:/wheels:ro", "--env", "PACKAGES=/wheels",
        "--env", "PIP_ROOT_USER_ACTION=ignore", "sandtable:slim", "/feature/install.sh",
        cwd=elsewhere, timeout=300,
    )
    assert SAID.search(said), said
