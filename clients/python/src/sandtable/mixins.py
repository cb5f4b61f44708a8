"""What answers can do beside holding what they hold."""

from __future__ import annotations

import json
import re
from typing import Any


_LINE_END = re.compile("\r\n|\n|\r")


def _data(text: str) -> Any:
    try:
        return json.loads(text) if text else None
    except ValueError:
        return text


class ExchangeMixin:
    """A request and its answer."""

    method: str
    path: str
    status: int
    response_body: Any

    @property
    def events(self) -> list[tuple[str, Any]]:
        """The events of a streamed answer: name and data, as text where it is no JSON. One that broke off is none."""
        if not isinstance(self.response_body, str):
            return []
        found: list[tuple[str, Any]] = []
        name = ""
        data: list[str] = []
        # Not `splitlines`, which ends a line at marks that a text may have.
        for line in _LINE_END.split(self.response_body)[:-1]:
            field, _, value = line.partition(":")
            value = value[1:] if value.startswith(" ") else value
            if field == "event":
                name = value
            elif field == "data":
                data.append(value)
            elif not line:
                if name:
                    found.append((name, _data("\n".join(data))))
                name, data = "", []
        return found

    def __str__(self) -> str:
        return f"{self.method} {self.path} → {self.status}"


_UNUSED = ("unused_steps", "unused_faults", "unused_recordings")
_WRONG = ("unmatched", "failed", *_UNUSED, "duplicated", "empty", "lints", "unclaimed")


class VerdictMixin:
    """What verification found."""

    ok: bool
    dropped: dict[str, int]

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        """What is wrong, one thing a line."""
        said = ["ok" if self.ok else "not ok"]
        for name in _WRONG:
            said += [f"  {name}: {json.dumps(each, ensure_ascii=False)}" for each in getattr(self, name)]
        said += [f"  {name}: {count} more, not kept" for name, count in self.dropped.items()]
        return "\n".join(said)
