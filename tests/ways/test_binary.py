"""The archive with the one program."""

import hashlib
import json
import re
import subprocess
import tarfile

from conftest import DIST, ROOT, SAID, VERSION, only, run


def test_the_archive_holds_a_program_that_runs_and_the_time_of_its_commit_alone(elsewhere):
    with tarfile.open(only(f"sandtable-{VERSION}-*-linux-gnu.tar.gz")) as archive:
        members = archive.getmembers()
        archive.extractall(elsewhere, filter="data")
    assert {member.mtime for member in members} == {members[0].mtime}
    assert {(member.uid, member.gid, member.uname) for member in members} == {(0, 0, "")}
    (program,) = elsewhere.glob("*/sandtable")
    assert SAID.fullmatch(run(program, "--version", cwd=elsewhere))
    assert (program.parent / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
    # The pages come with it.
    assert "# Security" in run(program, "docs", "security", cwd=elsewhere)


def test_a_release_program_asks_for_no_newer_glibc_than_its_wheel_says(elsewhere):
    with tarfile.open(only(f"sandtable-{VERSION}-*-linux-gnu.tar.gz")) as archive:
        archive.extractall(elsewhere, filter="data")
    (program,) = elsewhere.glob("*/sandtable")
    symbols = subprocess.run(["objdump", "-T", program], stdout=subprocess.PIPE, text=True, check=True).stdout
    needed = max(tuple(int(part) for part in found.split(".")) for found in re.findall(r"GLIBC_([0-9.]+)", symbols))
    (wheel,) = [path for path in DIST.glob("*.whl") if "none-any" not in path.name]
    tagged = re.search(r"manylinux_(\d+)_(\d+)_", wheel.name)
    # A wheel for this machine alone has no such tag, and promises nothing.
    promised = tuple(int(part) for part in tagged.groups()) if tagged else needed
    assert needed <= promised, (needed, wheel.name)


def test_the_bill_of_materials_names_every_crate_of_the_program_once():
    bill = json.loads(only("*.cdx.json").read_text())
    names = [part["purl"] for part in bill["components"]]
    assert len(names) == len(set(names)) > 100
    assert bill["metadata"]["component"]["purl"] == f"pkg:cargo/sandtable@{VERSION}"
    assert any(name.startswith("pkg:cargo/axum@") for name in names)
    # Only tests need it.
    assert not any(name.startswith("pkg:cargo/insta@") for name in names)
    known = {*names, bill["metadata"]["component"]["bom-ref"]}
    assert all(need in known for part in bill["dependencies"] for need in part["dependsOn"])


def test_checksums_are_those_of_the_files():
    sums = dict(reversed(line.split("  ", 1)) for line in (DIST / "SHA256SUMS").read_text().splitlines())
    assert any(name.endswith(".tar.gz") for name in sums) and any(name.endswith(".whl") for name in sums)
    for name, digest in sums.items():
        assert hashlib.sha256((DIST / name).read_bytes()).hexdigest() == digest, name
