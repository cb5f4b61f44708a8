"""What answers can do beside holding what they hold."""

from __future__ import annotations

import json
from typing import Any


class ExchangeMixin:
    """A request and its answer."""

    method: str
    path: str
    status: int
    response_body: Any

    @property
    def events(self) -> list[tuple[str, Any]]:
        """The events of a streamed answer: name and data."""
        if not isinstance(self.response_body, str):
            return []
        found = []
        for frame in self.response_body.split("\n\n"):
            lines = dict(line.split(": ", 1) for line in frame.splitlines() if ": " in line)
            if "event" in lines:
                found.append((lines["event"], json.loads(lines.get("data", "null"))))
        return found

    def __str__(self) -> str:
        return f"{self.method} {self.path} → {self.status}"


_UNUSED = ("unused_steps", "unused_faults", "unused_recordings")
_WRONG = ("unmatched", "failed", *_UNUSED, "duplicated", "empty", "lints", "unclaimed")


class VerdictMixin:
    """What verification found."""

    ok: bool

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        """What is wrong, one thing a line."""
        said = ["ok" if self.ok else "not ok"]
        for name in _WRONG:
            said += [f"  {name}: {json.dumps(each, ensure_ascii=False)}" for each in getattr(self, name)]
        return "\n".join(said)
