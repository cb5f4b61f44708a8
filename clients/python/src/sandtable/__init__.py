"""Tests against sandtable, a local emulator for the code execution side of Anthropic's API.

    from sandtable import Server

    with Server() as server:
        workspace = server.workspace()
        client = anthropic.Anthropic(base_url=workspace.base_url, api_key=workspace.api_key)

With pytest there is nothing to import: the fixture is called ``sandtable``.
"""

from .errors import NotFoundError, RefusedError, SandtableError, SilentError
from .binary import find_binary
from .server import Server
from .types import ClockState, Container, Exchange, FaultState, Lint, RuleState, Usage, Verdict
from .workspace import Cassettes, Clock, Containers, Faults, Journal, Scripts, Workspace

__version__ = "0.1.0"

__all__ = [
    "Cassettes",
    "Clock",
    "ClockState",
    "Container",
    "Containers",
    "Exchange",
    "FaultState",
    "Faults",
    "Journal",
    "Lint",
    "NotFoundError",
    "RefusedError",
    "RuleState",
    "SandtableError",
    "Scripts",
    "Server",
    "SilentError",
    "Usage",
    "Verdict",
    "Workspace",
    "find_binary",
]
