"""The same recordings, imported."""

import pytest
from app import greet

RECORDING = "test_greet/test_the_name_is_kept"


@pytest.mark.sandtable_cassette(RECORDING)
def test_the_name_is_kept():
    assert "Ada" in greet("Ada")


@pytest.mark.sandtable_cassette(RECORDING)
def test_a_busy_service_is_survived(sandtable):
    # What a recording by itself cannot show.
    sandtable.faults.overloaded(times=2, headers={"retry-after-ms": "1"})
    assert "Ada" in greet("Ada")
    assert [exchange.status for exchange in sandtable.journal] == [529, 529, 200, 200]
