"""What can go wrong between a test and the server."""

from __future__ import annotations


class SandtableError(Exception):
    """Any error of this package."""


class NotFoundError(SandtableError):
    """There is no `sandtable` program, or it cannot be built or started."""


class SilentError(SandtableError):
    """The server gives no answer, or none that can be read."""


class RefusedError(SandtableError):
    """The server refused a call, and says how to do better."""

    def __init__(self, status: int, message: str, hint: str) -> None:
        super().__init__(f"{message}\n  hint: {hint}" if hint else message)
        self.status = status
        self.message = message
        self.hint = hint
