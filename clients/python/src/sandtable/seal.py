"""Keeps a test run and the real service apart: the environment leads to sandtable, and what reaches for
the real service all the same is stopped and remembered."""

from __future__ import annotations

import os
import pathlib
import sys
import urllib.parse
from typing import Any, Optional

from .errors import SandtableError

# What official clients, and others that are used beside them, take a key, a token, a profile, or an address from.
_EMPTIED = (
    "ANTHROPIC_AUTH_TOKEN",
    "ANTHROPIC_CUSTOM_HEADERS",
    "ANTHROPIC_PROFILE",
    "ANTHROPIC_IDENTITY_TOKEN",
    "ANTHROPIC_IDENTITY_TOKEN_FILE",
    "ANTHROPIC_FEDERATION_RULE_ID",
    "ANTHROPIC_ORGANIZATION_ID",
    "ANTHROPIC_SERVICE_ACCOUNT_ID",
    "ANTHROPIC_WORKSPACE_ID",
    "ANTHROPIC_SCOPE",
    "ANTHROPIC_ENVIRONMENT_KEY",
    "ANTHROPIC_WORK_SECRET",
    "ANTHROPIC_API_URL",
    "ANTHROPIC_API_BASE",
)
_PROXIES = ("NO_PROXY", "no_proxy")
# Past a proxy of the machine: calls to the machine itself, and those that are to be stopped here.
_LOCAL = "127.0.0.1,localhost"
_DIRECT = f"{_LOCAL},anthropic.com,.anthropic.com"
# There is no such folder: profiles of the user's own hold tokens.
_NO_PROFILES = pathlib.Path(__file__).with_name("no_profiles")


class ReachedError(SandtableError, OSError):
    """Something reached for the real service."""


class Seal:
    """The environment as it was and as it is for the tests, and a guard on the network of this process."""

    def __init__(self, url: str, key: str) -> None:
        changes: dict[str, Optional[str]] = dict.fromkeys(_EMPTIED)
        changes.update(ANTHROPIC_BASE_URL=url, ANTHROPIC_API_KEY=key, ANTHROPIC_CONFIG_DIR=str(_NO_PROFILES))
        self._real = _address(os.environ.get("ANTHROPIC_BASE_URL"))
        past = _past_proxies()
        self._past = {name: _joined(hosts, _LOCAL) for name, hosts in past.items()}
        real_host = self._real[0] if self._real else None
        changes.update({name: _joined(hosts, _DIRECT, real_host) for name, hosts in past.items()})
        self.changes = changes
        self._before = {name: os.environ.get(name) for name in changes}
        self.key = os.environ.get("ANTHROPIC_API_KEY") or None
        """The user's own key, for recordings alone."""
        self._reached: list[str] = []
        put(changes)
        self.allow(os.environ.get("SANDTABLE_URL"))
        _watch(self)

    def allow(self, url: Optional[str]) -> None:
        """That is a sandtable's URL, and the environment may have named it before."""
        if self._real is not None and self._real == _address(url):
            self._real = None

    @property
    def secrets(self) -> dict[str, Any]:
        """What a worker has to be handed, because the environment that it inherits no longer has it."""
        return {"key": self.key, "real": self._real, "past": self._past}

    @secrets.setter
    def secrets(self, given: dict[str, Any]) -> None:
        self.key, self._real, self._past = given["key"], given["real"], given["past"]

    @property
    def past(self) -> dict[str, str]:
        """What goes past the machine's proxy, as it was: a server that records asks the real service through it."""
        return self._past

    def reached(self) -> list[str]:
        """What was reached for since the last call."""
        found, self._reached = self._reached, []
        return list(dict.fromkeys(found))

    def end(self) -> None:
        """Puts the environment back and takes the guard away."""
        _seals.remove(self)
        put(self._before)

    def check(self, host: str, port: Any) -> None:
        """Stops what reaches for the real service."""
        host = host.rstrip(".").lower()
        is_real = host == "anthropic.com" or host.endswith(".anthropic.com")
        if not is_real and self._real != (_plain(host), port):
            return
        place = f"{host}:{port}" if port else host
        self._reached.append(place)
        raise ReachedError(complaint([place]))


def complaint(places: list[str]) -> str:
    """What a test is told that reached for the real service."""
    return (
        f"sandtable: this reached for {', '.join(places)}, not for sandtable, and was stopped\n"
        "  hint: leave the client's base URL to ANTHROPIC_BASE_URL, which leads to the running test's workspace;"
        " `-p no:sandtable` is for tests that need the real service"
    )


def of_servers() -> dict[str, str]:
    """Variables that a server of this process needs otherwise than its tests."""
    # A run within another has found the other's.
    return _seals[0].past if _seals else {}


def put(variables: dict[str, Optional[str]]) -> None:
    """Sets variables of the environment, or deletes them."""
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _past_proxies() -> dict[str, Optional[str]]:
    """The hosts that are asked past a proxy. Who finds one of the names does not look for the other."""
    given = {name: os.environ.get(name) for name in _PROXIES}
    only = next((hosts for hosts in given.values() if hosts is not None), None)
    return {name: only if hosts is None else hosts for name, hosts in given.items()}


def _joined(*hosts: Optional[str]) -> str:
    return ",".join(filter(None, hosts))


def _address(url: Optional[str]) -> Optional[tuple[str, Any]]:
    """Host and port of a URL."""
    try:
        parts = urllib.parse.urlsplit(url or "")
        port = parts.port
    except ValueError:
        return None
    if not parts.hostname:
        return None
    return _plain(parts.hostname), port or (80 if parts.scheme == "http" else 443)


def _plain(host: str) -> str:
    return "127.0.0.1" if host in ("localhost", "::1") else host


_seals: list[Seal] = []
_is_hooked = False


def _watch(seal: Seal) -> None:
    # The hook sees every socket of Python, whatever library has it, and cannot be taken away again.
    global _is_hooked
    _seals.append(seal)
    if not _is_hooked:
        _is_hooked = True
        sys.addaudithook(_hook)


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _seals or not event.startswith("socket."):
        return
    if event == "socket.getaddrinfo":
        host, port = arguments[0], arguments[1]
    elif event == "socket.gethostbyname":
        host, port = arguments[0], None
    elif event == "socket.connect" and isinstance(arguments[1], tuple):
        host, port = arguments[1][:2]
    else:
        return
    if isinstance(host, bytes):
        host = host.decode("latin-1")
    if not isinstance(host, str):
        return
    if isinstance(port, (str, bytes)) and port.isdigit():
        port = int(port)
    for seal in list(_seals):
        seal.check(host, port)
