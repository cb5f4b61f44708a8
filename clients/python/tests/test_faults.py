"""Every kind of fault has a shorthand. Which kinds there are, the inspector's catalogue says, which the server's own tests keep whole."""

import json
import os
import pathlib

CATALOGUE = pathlib.Path(os.environ["SANDTABLE_TEST_CATALOGUE"])


def kind(fault):
    return fault["at"], fault.get("do") or ("delay_ms" if "delay_ms" in fault else "error")


def test_every_kind_of_fault_has_a_shorthand(sandtable):
    make = sandtable.faults
    made = [
        make.overloaded(),
        make.overloaded(after_events=2),
        make.cut(),
        make.cut(after_events=2),
        make.stall(),
        make.stall(after_events=2),
        make.delay(1),
        make.delay(1, after_events=2),
        make.advance("30d"),
        make.delete_file(),
        make.pause(),
        make.pause(inside=True),
        make.stop("refusal"),
        make.expire_container(),
        make.tool_error(),
        make.kill_sandbox(),
        make.exhaust_memory(),
        make.fill_disk(),
        make.engine_unreachable(),
        make.slow(1000),
        make.split(7),
        make.merge(),
        make.hang(after_events=3),
        make.reset(after_bytes=0, after_work=True),
        make.malformed(),
        make.unknown_event(),
        make.pings(3),
        make.deltas(),
        make.unknown_members(nth=2),
        make.pace(40),
    ]
    groups = json.loads(CATALOGUE.read_text())
    wanted = {kind(entry["fault"]) for group in groups for entry in group["faults"]}
    assert {kind(state.fault) for state in made} == wanted
    assert [state.fault for state in make.list()] == [state.fault for state in made]
