"""The plugin, seen from whole runs of pytest."""

import json
import os
import sys

import pytest

from sandtable import Server, find_binary

CONFTEST = """
    import pytest

    MODEL = "claude-opus-4-6"

    @pytest.fixture
    def ask(anthropic_client):
        def ask(prompt, **more):
            messages = [{"role": "user", "content": prompt}]
            return anthropic_client.messages.create(model=MODEL, max_tokens=1024, messages=messages, **more)
        return ask
"""


@pytest.fixture
def run(pytester, monkeypatch):
    """Runs a file of tests in a process of its own."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    pytester.makeconftest(CONFTEST)

    def run(*args, **files):
        if files:
            pytester.makepyfile(**files)
        return pytester.runpytest_subprocess("--sandtable-backend=none", "--strict-markers", *args, timeout=120)

    return run


def test_a_test_has_a_fresh_workspace_of_one_server(run):
    done = run(
        test_two="""
        seen = []

        def test_one(sandtable, sandtable_server):
            sandtable.scripts.put("- then: [{ text: hi }]")
            seen.append((sandtable.api_key, sandtable_server.pid))

        def test_other(sandtable, sandtable_server):
            assert sandtable.scripts.list() == []
            assert seen[0][0] != sandtable.api_key and seen[0][1] == sandtable_server.pid
            import os
            print("SERVER", sandtable_server.pid)
        """,
    )
    done.assert_outcomes(passed=2)


def test_a_rerun_of_the_same_test_finds_nothing_of_the_first(run):
    done = run(
        test_again="""
        import pytest

        @pytest.fixture(params=[1, 1], ids=["same", "other"])
        def twice(request):
            return request.param

        def test_again(twice, sandtable):
            assert sandtable.scripts.list() == [] and len(sandtable.journal) == 0
            sandtable.scripts.put("- then: [{ text: hi }]")
        """,
    )
    done.assert_outcomes(passed=2)


def test_markers_set_the_workspace_up(run, pytester):
    pytester.makefile(".yaml", lunch="- when: { user: lunch }\n  then: [{ text: Soup. }]\n")
    done = run(
        test_marks="""
        import anthropic, datetime, pytest

        pytestmark = pytest.mark.sandtable(quirks={"profile": "observed"})

        @pytest.mark.sandtable(script="lunch.yaml", faults={"at": "http", "status": 529, "headers": {"retry-after-ms": "1"}})
        def test_file_and_fault(sandtable, ask):
            assert ask("lunch").content[0].text == "Soup."
            assert [each.status for each in sandtable.journal] == [529, 200]
            assert sandtable.call("GET", "quirks")["profile"] == "observed"

        @pytest.mark.sandtable(script=[{"then": [{"text": "hi"}]}], frozen=True)
        class TestClass:
            def test_objects(self, sandtable, ask):
                assert ask("x").content[0].text == "hi" and sandtable.clock.frozen

            @pytest.mark.sandtable(script="- then: [{ text: closest }]")
            def test_closest_wins(self, ask, sandtable):
                assert ask("x").content[0].text == "closest" and sandtable.clock.frozen

        @pytest.mark.sandtable(frozen="2040-01-02T03:04:05Z")
        def test_future(sandtable, sandtable_server):
            assert sandtable.clock.now.isoformat() == "2040-01-02T03:04:05+00:00" and sandtable.clock.frozen
            assert sandtable.base_url == sandtable_server.base_url

        @pytest.mark.sandtable(frozen=datetime.datetime(2026, 1, 4, 20, 47, 5))
        def test_past(sandtable, sandtable_server):
            assert sandtable.clock.now.isoformat() == "2026-01-04T20:47:05+00:00" and sandtable.clock.frozen
            assert sandtable.base_url != sandtable_server.base_url

        @pytest.mark.sandtable(script="- then: [{ text: unnamed }]")
        def test_without_the_fixture():
            messages = [{"role": "user", "content": "x"}]
            client = anthropic.Anthropic()
            assert client.messages.create(model="m", max_tokens=9, messages=messages).content[0].text == "unnamed"
        """,
        test_unmarked="""
        import os

        def test_unmarked():
            assert os.environ["ANTHROPIC_BASE_URL"].startswith("http://127.0.0.1:")
        """,
    )
    done.assert_outcomes(passed=7)


def test_a_seed_gives_the_same_ids_in_every_run(run, pytester):
    tests = """
        import pathlib, pytest

        @pytest.mark.sandtable(script="- then: [{ text: hi }]", seed=7)
        def test_ids(ask):
            pathlib.Path("ids").open("a").write(ask("x").id + "\\n")

        @pytest.mark.sandtable(script="- then: [{ text: hi }]", seed=7)
        def test_others(ask):
            pathlib.Path("ids").open("a").write(ask("x").id + "\\n")
    """
    run(test_seed=tests).assert_outcomes(passed=2)
    run().assert_outcomes(passed=2)
    first, second, third, fourth = (pytester.path / "ids").read_text().split()
    assert (first, second) == (third, fourth) and first != second


def test_a_wrong_marker_is_told(run):
    done = run(
        test_wrong="""
        import pytest

        @pytest.mark.sandtable(scirpt="x")
        def test_typo():
            pass

        @pytest.mark.sandtable("x")
        def test_position():
            pass

        @pytest.mark.sandtable_cassette("x", mode="sometimes")
        def test_mode():
            pass
        """,
    )
    done.assert_outcomes(errors=3)
    done.stdout.fnmatch_lines_random(
        ["*no `scirpt`; did you mean `script`?", "*takes keywords only*", "*one of none, once, new, all, not `sometimes`"]
    )


def test_a_test_may_have_to_leave_nothing_over(run):
    done = run(
        test_verify="""
        import pytest

        pytestmark = pytest.mark.sandtable(script="- then: [{ text: hi }]", verify=True)

        def test_all_used(ask):
            ask("x")

        def test_left_over():
            pass

        def test_fails_first():
            assert False
        """,
    )
    done.assert_outcomes(passed=2, failed=1, errors=1)
    done.stdout.fnmatch_lines(["*sandtable verify: not ok", "*  unused_steps: {*"])


def test_a_verdict_is_as_strict_as_the_marker_or_the_configuration_says(run, pytester):
    tests = """
        import pytest

        def warned(client):
            client.messages.create(
                model="m", max_tokens=9, messages=[{"role": "user", "content": "x"}],
                extra_headers={"anthropic-version": "2020-01-01"},
            )

        @pytest.mark.sandtable(verify=True)
        def test_true(anthropic_client):
            warned(anthropic_client)

        @pytest.mark.sandtable(verify="error")
        def test_error(anthropic_client):
            warned(anthropic_client)

        @pytest.mark.sandtable(verify="warning")
        def test_warning(anthropic_client):
            warned(anthropic_client)

        @pytest.mark.sandtable(verify="off", script="- then: [{ text: hi }]")
        def test_off(sandtable, anthropic_client):
            warned(anthropic_client)
            # No lint is bad, and what is left over still is.
            assert sandtable.verify(lints="off") and not sandtable.verify(lints="warning")

        @pytest.mark.sandtable(verify=False)
        def test_false(anthropic_client):
            warned(anthropic_client)

        def test_unmarked(anthropic_client):
            warned(anthropic_client)

        @pytest.mark.sandtable(verify="strict")
        def test_wrong(sandtable):
            pass
    """
    done = run("-rA", test_level=tests)
    done.assert_outcomes(passed=6, errors=2)
    done.stdout.fnmatch_lines_random(
        ["ERROR *::test_warning - *verify: not ok*", "verify= is True, False, or one of off, error, warning, not `strict`"]
    )
    pytester.makeini("[pytest]\nsandtable_verify = warning")
    done = run("-rA")
    done.assert_outcomes(passed=6, errors=4)
    done.stdout.fnmatch_lines_random([f"ERROR *::test_{name} - *" for name in ("true", "warning", "unmarked", "wrong")])
    pytester.makeini("[pytest]\nsandtable_verify = strict")
    assert run().ret == pytest.ExitCode.USAGE_ERROR


def test_a_client_made_at_import_reads_the_results_of_its_batches(run):
    done = run(
        test_batch="""
        import anthropic, pytest

        at_import = anthropic.Anthropic(max_retries=0)
        PARAMS = {"model": "claude-opus-4-6", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}

        def said(client, sandtable):
            sandtable.scripts.put("- then: [{ text: hi }]")
            batch = client.messages.batches.create(requests=[{"custom_id": "a", "params": PARAMS}])
            while batch.processing_status != "ended":
                batch = client.messages.batches.retrieve(batch.id)
            assert batch.results_url.startswith(str(client.base_url))
            return [each.result.message.content[0].text for each in client.messages.batches.results(batch.id)]

        @pytest.mark.parametrize("again", [False, True])
        def test_at_import(sandtable, again):
            assert said(at_import, sandtable) == ["hi"]

        @pytest.mark.sandtable(seed=7)
        def test_on_another_server(sandtable):
            assert said(at_import, sandtable) == ["hi"]

        def test_in_the_test(sandtable):
            assert said(anthropic.Anthropic(max_retries=0), sandtable) == ["hi"]

        def test_the_fixture_s(sandtable, anthropic_client):
            assert said(anthropic_client, sandtable) == ["hi"]
        """,
    )
    done.assert_outcomes(passed=5)


def test_a_failed_test_shows_what_was_asked(run):
    done = run(
        test_fails="""
        def test_fails(sandtable, ask):
            sandtable.scripts.put("- when: { user: lunch }\\n  then: [{ text: hi }]")
            ask("dinner")
        """,
    )
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["*sandtable journal*", "POST /v1/messages → 400: *"])


def test_with_xdist_each_worker_has_a_server(run, pytester):
    tests = "\n".join(
        f"""
def test_{number}(sandtable, sandtable_server):
    assert sandtable.scripts.list() == []
    sandtable.scripts.put("- then: [{{ text: hi }}]")
    open("pids", "a").write(f"{{sandtable_server.pid}}\\n")
"""
        for number in range(40)
    )
    done = run("-n2", test_many=tests)
    done.assert_outcomes(passed=40)
    pids = set((pytester.path / "pids").read_text().split())
    assert 1 <= len(pids) <= 2
    for pid in pids:
        assert not os.path.exists(f"/proc/{pid}"), "a server outlived the run"


def test_a_running_server_is_used(run, sandtable_server):
    done = run(
        f"--sandtable-url={sandtable_server.base_url}",
        test_url="""
        import pytest

        def test_url(sandtable, sandtable_server):
            assert sandtable_server.pid is None and sandtable.clock.now

        @pytest.mark.sandtable(seed=1)
        def test_seed():
            pass
        """,
    )
    done.assert_outcomes(passed=1, errors=1)
    done.stdout.fnmatch_lines(["*hint: leave --sandtable-url out*"])
    assert sandtable_server.workspace().clock.now


JUDGED = """
    import os, pytest

    def test_judged(sandtable, sandtable_server, ask):
        assert sandtable_server.pid is None and sandtable.base_url == os.environ["SANDTABLE_URL"]
        assert os.environ["ANTHROPIC_BASE_URL"] != os.environ["SANDTABLE_URL"]
        sandtable.scripts.put("- then: [{ text: hi }]")
        assert ask("x").content[0].text == "hi"
        sandtable.faults.add(at="http", path="/v1/files", status=500)
        (unused,) = sandtable.verify().unused_faults
        assert unused["label"] == "test_judged.py::test_judged"
"""


def test_a_run_that_is_judged_is_judged_by_its_one_server(run, pytester):
    """As with `sandtable run -- pytest`: what the plugin starts itself, nobody judges."""
    pytester.makepyfile(test_judged=JUDGED)
    pytest_ = [sys.executable, "-m", "pytest", "--strict-markers"]
    done = pytester.run(find_binary(), "run", "--backend", "none", "--json", "verdict.json", "--", *pytest_, timeout=120)
    done.assert_outcomes(passed=1)
    verdict = json.loads((pytester.path / "verdict.json").read_text())
    # The reset at the test's end has not made it forget.
    assert [unused["label"] for unused in verdict["unused_faults"]] == ["test_judged.py::test_judged"]
    assert verdict["unclaimed"] == []


def test_a_server_that_the_environment_names_is_used(run, sandtable_server, monkeypatch):
    monkeypatch.setenv("SANDTABLE_URL", sandtable_server.base_url)
    run(test_judged=JUDGED).assert_outcomes(passed=1)
    done = run(test_seed="import pytest\n@pytest.mark.sandtable(seed=1)\ndef test_seed(): pass")
    done.assert_outcomes(errors=1, passed=1)
    done.stdout.fnmatch_lines(["*hint: leave --sandtable-url out, and SANDTABLE_URL*"])


def test_without_the_sdk_the_other_fixtures_work(run, pytester, monkeypatch):
    pytester.makepyfile(
        sitecustomize="""
        import importlib.util
        find = importlib.util.find_spec
        importlib.util.find_spec = lambda name, *rest: None if name == "anthropic" else find(name, *rest)
        """
    )
    monkeypatch.setenv("PYTHONPATH", str(pytester.path), prepend=os.pathsep)
    pytester.makeconftest("")
    done = run(
        test_bare="""
        def test_bare(sandtable):
            assert sandtable.clock.now

        def test_client(anthropic_client):
            pass
        """,
    )
    done.assert_outcomes(passed=1, errors=1)
    done.stdout.fnmatch_lines(["*fixture 'anthropic_client' not found"])


CASSETTE = """
    import pytest

    @pytest.mark.sandtable_cassette("deep/hello", upstream="UPSTREAM")
    def test_named(ask):
        assert ask("hi").content[0].text == "recorded"

    @pytest.mark.parametrize("word", ["a b"])
    @pytest.mark.sandtable_cassette
    def test_unnamed(ask, word):
        assert ask(word).content[0].text == "recorded"
"""


def test_a_cassette_is_recorded_once_and_replayed_without_its_service(run, pytester, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-of-the-user")
    pytester.makeini("[pytest]\nsandtable_upstream = http://127.0.0.1:9")
    run(test_cassette=CASSETTE).assert_outcomes(errors=2)
    with Server(scripts=["- then: [{ text: recorded }]"], backend="none") as service:
        pytester.makeini(f"[pytest]\nsandtable_upstream = {service.base_url}")
        tests = CASSETTE.replace("UPSTREAM", service.base_url)
        run("--sandtable-record=once", test_cassette=tests).assert_outcomes(passed=2)
        asked = service.workspace("sk-ant-of-the-user").journal.entries()
        assert [entry.status for entry in asked] == [200, 200]
    folder = pytester.path / "sandtable_cassettes"
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.yaml"))
    assert names == ["deep/hello.yaml", "test_unnamed[a-b].yaml"]
    texts = {name: (folder / name).read_text() for name in names}
    assert all("recorded" in text and "of-the-user" not in text for text in texts.values())
    # The service is gone: `none`, and `once` with a file that is there, do without.
    run(test_cassette=tests).assert_outcomes(passed=2)
    run("--sandtable-record=once").assert_outcomes(passed=2)
    assert {name: (folder / name).read_text() for name in names} == texts
    run(test_cassette=tests.replace('"hi"', '"something else"')).assert_outcomes(passed=1, failed=1)


IGNORES = """
    import pytest

    pytestmark = pytest.mark.sandtable_cassette(ignore=["$.system"])

    @pytest.mark.sandtable_cassette("one")
    def test_of_the_module(ask):
        assert ask("hi", system="of SYSTEM").content[0].text == "recorded"
"""
MORE_IGNORES = """
    @pytest.mark.sandtable_cassette("one", ignore="$.system")
    def test_one_path(ask):
        ask("hi", system="of tomorrow")

    @pytest.mark.sandtable_cassette("one", ignore=[])
    def test_nothing(ask):
        ask("hi", system="of tomorrow")

    @pytest.mark.sandtable_cassette("one")
    def test_something_else(ask):
        ask("something else", system="of tomorrow")

    @pytest.mark.sandtable_cassette("one", ignore=["system"])
    def test_no_path(ask):
        pass

    @pytest.mark.sandtable_cassette("one", ingore=["$.system"])
    def test_no_such_word(ask):
        pass
"""


def test_what_a_marker_says_may_differ_from_a_recording(run, pytester):
    with Server(scripts=["- then: [{ text: recorded }]"], backend="none") as service:
        pytester.makeini(f"[pytest]\nsandtable_upstream = {service.base_url}")
        recorded = IGNORES.replace('ignore=["$.system"]', "").replace("SYSTEM", "today")
        run("--sandtable-record=all", test_ignores=recorded).assert_outcomes(passed=1)
    done = run("-rA", test_ignores=IGNORES.replace("SYSTEM", "tomorrow") + MORE_IGNORES)
    done.assert_outcomes(passed=2, failed=2, errors=2)
    outcomes = ["PASSED *::test_of_the_module", "PASSED *::test_one_path", "FAILED *::test_nothing*"]
    outcomes += ["FAILED *::test_something_else*", "ERROR *::test_no_path*", "ERROR *::test_no_such_word*"]
    done.stdout.fnmatch_lines_random(outcomes)
    done.stdout.fnmatch_lines(["*`system` is no JSON path*"])
    done.stdout.fnmatch_lines(["*takes a name, mode=, upstream=, and ignore=*"])


BOTH = """
    import pytest

    @pytest.fixture(scope="module")
    def vcr_config():
        return {"match_on": ["method", "path"], "filter_headers": ["x-api-key"]}

    @pytest.mark.vcr
    @pytest.mark.sandtable(script="- then: [{ text: recorded }]")
    def test_both(sandtable, ask, vcr):
        assert ask("hi").content[0].text == "recorded"
        # VCR answers the SDK; control calls are none of its business and reach the server.
        assert sandtable.clock.now
        assert len(sandtable.journal) == LIVE

    @pytest.mark.sandtable(script="- then: [{ text: live }]")
    def test_without_vcr(ask):
        assert ask("hi").content[0].text == "live"
"""


def test_the_plugin_runs_beside_vcr(run, pytester):
    done = run("--record-mode=once", test_both=BOTH.replace("LIVE", "1"))
    done.assert_outcomes(passed=2)
    (cassette,) = (pytester.path / "cassettes/test_both").iterdir()
    text = cassette.read_text()
    assert text.count("- request:") == 1 and "/_sandtable/" not in text
    done = run("--record-mode=none", test_both=BOTH.replace("LIVE", "0"))
    done.assert_outcomes(passed=2)
    assert cassette.read_text() == text


def test_where_vcr_blocks_the_network_this_machine_may_be_allowed(run):
    done = run(
        "--block-network",
        "--allowed-hosts=127.0.0.1",
        test_blocked="""
        import pytest, urllib.request

        @pytest.mark.sandtable(script="- then: [{ text: hi }]")
        def test_blocked(ask):
            assert ask("hi").content[0].text == "hi"
            with pytest.raises(Exception, match="(?i)network is disabled"):
                urllib.request.urlopen("http://192.0.2.1/")
        """,
    )
    done.assert_outcomes(passed=1)
