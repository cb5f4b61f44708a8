"""The tests of the package use the package: its plugin is there because it is installed."""

import pytest

pytest_plugins = ["pytester"]


@pytest.fixture
def sandbox(sandtable_server):
    """Skips where nothing can run code."""
    if sandtable_server.workspace().call("GET", "health")["backend"] == "none":
        pytest.skip("the server has no sandboxes")
