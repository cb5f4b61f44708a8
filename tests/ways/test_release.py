"""What a release does beside the building: versions, notes, and the script that installs."""

import functools
import http.server
import os
import pathlib
import shutil
import threading

import pytest
from conftest import DIST, ROOT, SAID, VERSION, bare, run

SECTION = "# Changelog\n\n## Unreleased\n\n- later\n\n## 9.9.9\n\n- new\n- newer\n\n## 0.0.1\n\n- old\n"


@pytest.fixture
def checkout(elsewhere):
    """What `scripts/release` reads when it builds nothing."""
    root = elsewhere / "checkout"
    for name in (
        "scripts/release", "Cargo.toml", "clients/python/pyproject.toml", "clients/python/src/sandtable/__init__.py",
        "clients/node/package.json", "devcontainer/sandtable/devcontainer-feature.json",
        *(f"deploy/kubernetes/overlays/{name}/kustomization.yaml" for name in ("single", "sandboxes", "front")),
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    (root / "CHANGELOG.md").write_text(SECTION.replace("9.9.9", VERSION))
    return root


def test_a_release_is_refused_unless_every_package_and_the_changelog_are_of_its_version(checkout):
    script = checkout / "scripts/release"
    run(script, "version", VERSION, cwd=checkout)
    assert "`Cargo.toml` says" in run(script, "version", "9.9.9", cwd=checkout, code=1)
    feature = checkout / "devcontainer/sandtable/devcontainer-feature.json"
    feature.write_text(feature.read_text().replace(f'"version": "{VERSION}"', '"version": "0.0.0"'))
    assert "devcontainer-feature.json` says 0.0.0" in run(script, "version", VERSION, cwd=checkout, code=1)
    shutil.copy(ROOT / "devcontainer/sandtable/devcontainer-feature.json", feature)
    overlay = checkout / "deploy/kubernetes/overlays/front/kustomization.yaml"
    overlay.write_text(overlay.read_text().replace(f"{VERSION}-full", "0.0.0-full"))
    assert "front/kustomization.yaml` says 0.0.0" in run(script, "version", VERSION, cwd=checkout, code=1)
    shutil.copy(ROOT / "deploy/kubernetes/overlays/front/kustomization.yaml", overlay)
    (checkout / "CHANGELOG.md").write_text("# Changelog\n\n## Unreleased\n\n- later\n")
    assert f"has no `## {VERSION}`" in run(script, "version", VERSION, cwd=checkout, code=1)


def test_the_notes_of_a_release_are_its_part_of_the_changelog(checkout):
    assert run(checkout / "scripts/release", "notes", VERSION, cwd=checkout).split("\n") == ["", "- new", "- newer", ""]
    assert run(checkout / "scripts/release", "notes", "0.0.1", cwd=checkout).strip() == "- old"


@pytest.fixture
def release(elsewhere):
    """The files of the release on the loopback address, and the folder they are in."""
    folder = elsewhere / "release"
    folder.mkdir()
    for path in [*DIST.glob("*.tar.gz"), DIST / "SHA256SUMS"]:
        shutil.copy(path, folder / path.name)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", folder
        finally:
            server.shutdown()
            thread.join()


def install(elsewhere, address, code=0, **more):
    env = bare(HOME=elsewhere, NO_PROXY="*", **({"SANDTABLE_RELEASE": address} if address else {}), **more)
    return run("sh", ROOT / "scripts/install.sh", cwd=elsewhere, env=env, code=code)


def test_the_script_installs_the_program_once_its_checksum_is_right(elsewhere, release):
    address, folder = release
    said = install(elsewhere, address)
    assert f"sandtable {VERSION}\n" in said and "is not on the PATH" in said
    assert os.access(elsewhere / ".local/bin/sandtable", os.X_OK)
    # Again, elsewhere on the PATH, over the one that is there.
    into = elsewhere / "bin"
    for _ in range(2):
        said = install(elsewhere, address, SANDTABLE_INSTALL_DIR=into, PATH=f"{into}:{os.environ['PATH']}")
        assert SAID.fullmatch(said)

    (archive,) = folder.glob("*.tar.gz")
    with archive.open("ab") as end:
        end.write(b"x")
    shutil.rmtree(into)
    assert "is not what SHA256SUMS says" in install(elsewhere, address, code=1, SANDTABLE_INSTALL_DIR=into)
    assert not into.exists()


def test_a_release_in_a_folder_of_any_name_is_installed(elsewhere, release):
    named = elsewhere / "my dist"
    shutil.copytree(release[1], named)
    for address in (f"file://{named}", named, "my dist"):
        said = install(elsewhere, address, SANDTABLE_INSTALL_DIR=elsewhere / "bin")
        assert f"sandtable {VERSION}\n" in said
        shutil.rmtree(elsewhere / "bin")


def test_the_script_says_what_is_missing(elsewhere, release):
    address, folder = release
    assert "no version is published yet" in install(elsewhere, None, code=1)
    assert "cannot be fetched" in install(elsewhere, f"{address}/nowhere", code=1)
    (folder / "SHA256SUMS").write_text("")
    assert "has no program for" in install(elsewhere, address, code=1)
    assert not pathlib.Path(elsewhere / ".local").exists()
