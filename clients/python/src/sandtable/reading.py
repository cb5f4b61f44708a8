"""Answers of control calls as objects. Fields that a newer server adds are left out."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timezone
from typing import Any, TypeVar, Union

T = TypeVar("T")

_TIMES = {"now", "at", "created_at", "last_used_at", "expires_at", "ends_at", "modified_at"}


def read(kind: type[T], value: dict[str, Any]) -> T:
    """An answer as `kind`."""
    known = {each.name for each in dataclasses.fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: parse_time(each) if name in _TIMES else each for name, each in value.items() if name in known})


def parse_time(text: str) -> datetime:
    """RFC 3339 with `Z`, which older Pythons do not take."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def time_text(time: Union[datetime, str]) -> str:
    """A time for the server; one without a zone is UTC."""
    if isinstance(time, str):
        return time
    if time.tzinfo is None:
        time = time.replace(tzinfo=timezone.utc)
    return time.isoformat()
