"""Control calls: JSON over HTTP, by the standard library."""

from __future__ import annotations

import http.client
import json
import urllib.parse
from typing import Any, Mapping, Optional, Union

from .errors import RefusedError, SandtableError, SilentError

# As it was when this module was loaded: tools that record HTTP, such as VCR, put a class of their own in
# its place while a test runs, and our calls are none of their business.
_Connection = getattr(http.client.HTTPConnection, "_baseclass", http.client.HTTPConnection)

_TIMEOUT_S = 60.0
# `wait` answers within its own time, which the server limits to 5 minutes.
_WAIT_TIMEOUT_S = 360.0

_TEXTS = ("text/plain", "application/yaml")


class ControlClient:
    """Speaks to one server as one workspace."""

    def __init__(self, url: str, key: Optional[str], token: Optional[str] = None) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise SandtableError(f"`{url}` is no server's URL\n  hint: such as http://127.0.0.1:4010")
        self.url = url.rstrip("/")
        self.key = key
        self.token = token
        self._host = parts.hostname
        self._port = parts.port or 80
        self._root = parts.path.rstrip("/")

    def call(
        self,
        method: str,
        path: str,
        body: Union[None, str, bytes, Mapping[str, Any], list[Any]] = None,
        query: Optional[Mapping[str, Any]] = None,
        *,
        whatever: bool = False,
    ) -> Any:
        """The answer of ``/_sandtable/<path>``, which is JSON unless it may be `whatever` it is; `body` is text as it
        stands, or something to be JSON."""
        headers: dict[str, str] = {}
        if body is not None and not isinstance(body, (str, bytes)):
            body = json.dumps(body)
            headers["content-type"] = "application/json"
        data = body.encode() if isinstance(body, str) else body
        if self.key:
            headers["x-api-key"] = self.key
        if self.token:
            headers["x-sandtable-token"] = self.token
        target = f"{self._root}/_sandtable/{path}"
        given = {name: _word(value) for name, value in (query or {}).items() if value is not None}
        if given:
            target += "?" + urllib.parse.urlencode(given)
        timeout = _WAIT_TIMEOUT_S if path == "wait" else _TIMEOUT_S
        connection = _Connection(self._host, self._port, timeout=timeout)
        try:
            connection.request(method, target, body=data, headers=headers)
            response = connection.getresponse()
            status, answer = response.status, response.read()
            kind = response.getheader("content-type") or ""
            is_file = (response.getheader("content-disposition") or "").startswith("attachment")
        except (OSError, http.client.HTTPException) as error:
            raise SilentError(f"no answer from {self.url}: {error}") from error
        finally:
            connection.close()
        if whatever and status < 400:
            # What lies in a container is given as it is.
            if is_file:
                return answer
            if kind.startswith(_TEXTS):
                return answer.decode()
        return _read(self.url, status, answer)


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _read(url: str, status: int, answer: bytes) -> Any:
    try:
        value = json.loads(answer) if answer else None
    except ValueError:
        raise SilentError(f"{url} is no sandtable server: it answers {status} without JSON") from None
    if status < 400:
        return value
    error = value.get("error") if isinstance(value, dict) else None
    if not isinstance(error, dict):
        raise SilentError(f"{url} is no sandtable server: it answers {status}")
    raise RefusedError(status, str(error.get("message", "")), str(error.get("hint", "")))
