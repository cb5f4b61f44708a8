"""A base URL that stays the same for a whole run, whatever server and workspace the running test has.

A client made when a test module is imported keeps its base URL and key. The relay takes its requests, puts
the key of the workspace that is meant in place of theirs, and passes bytes on in both directions as they
are, broken answers included. One connection carries one request, so that bodies need not be understood."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import struct
import threading
import urllib.parse
from typing import Callable, NamedTuple, Optional

from .errors import SandtableError

# As they were when this module was loaded: tools that forbid tests the network put others in their place.
_Socket = socket.socket

_MAX_HEAD_BYTES = 64 * 1024
_CHUNK_BYTES = 64 * 1024
_HEAD_TIMEOUT_S = 60.0
_LINGER_S = 2.0
_SECRET = {"x-api-key", "authorization"}
_FORWARDED = {"x-forwarded-host", "x-forwarded-proto"}
_DROPPED = _SECRET | _FORWARDED | {"host", "connection", "keep-alive", "proxy-authorization", "cookie"}
_OURS = re.compile(r"/(v1|_sandtable)(/|\?|$)")


class Target(NamedTuple):
    """Where a request goes."""

    url: str
    key: str


class Relay:
    """Listens on a free port of this machine; `route` says where a request with this key goes, or raises
    a :class:`SandtableError`, which the client is told."""

    def __init__(self, route: Callable[[Optional[str]], Target]) -> None:
        self._route = route
        self._listener = _Socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(128)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, name="sandtable-relay", daemon=True).start()

    def close(self) -> None:
        """Ends it; what is under way ends by itself."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                descriptor, _ = self._listener._accept()  # type: ignore[attr-defined]
            except OSError:
                return
            client = _Socket(fileno=descriptor)
            threading.Thread(target=self._serve, args=(client,), name="sandtable-relay", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.closing(client), contextlib.suppress(OSError):
            client.settimeout(_HEAD_TIMEOUT_S)
            head, body = _head(client)
            if head is None:
                return
            client.settimeout(None)
            try:
                target = self._route(_key(head))
                upstream = _connect(target.url)
            except SandtableError as error:
                _refuse(client, str(error))
                return
            except OSError as error:
                _refuse(client, f"sandtable does not answer: {error}")
                return
            with contextlib.closing(upstream):
                upstream.sendall(_rewrite(head, target) + body)
                sender = threading.Thread(target=_send, args=(client, upstream), name="sandtable-relay", daemon=True)
                sender.start()
                _receive(upstream, client)
                # What is unread when it is closed would make a reset of it, and the answer might be lost.
                sender.join(_LINGER_S)
                with contextlib.suppress(OSError):
                    client.shutdown(socket.SHUT_RD)
                sender.join()


def _head(client: socket.socket) -> tuple[Optional[list[str]], bytes]:
    """The lines of a request's head, and what has come of its body."""
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = client.recv(_CHUNK_BYTES)
        data += chunk
        if not chunk or len(data) > _MAX_HEAD_BYTES:
            return None, b""
    head, _, body = data.partition(b"\r\n\r\n")
    return head.decode("latin-1").split("\r\n"), body


def _name(line: str) -> str:
    return line.partition(":")[0].strip().lower()


def _value(head: list[str], names: set[str]) -> Optional[str]:
    for line in head[1:]:
        if _name(line) in names:
            return line.partition(":")[2].strip()
    return None


def _key(head: list[str]) -> Optional[str]:
    key = _value(head, _SECRET)
    return key and key.removeprefix("Bearer ")


def _rewrite(head: list[str], target: Target) -> bytes:
    method, path, version = (head[0].split(" ") + ["", ""])[:3]
    # Some clients take `/v1` for a part of the base URL.
    if not _OURS.match(path):
        path = f"/v1{path}"
    parts = urllib.parse.urlsplit(target.url)
    lines = [f"{method} {parts.path.rstrip('/')}{path} {version}", f"host: {parts.netloc}", "connection: close"]
    # Where an answer names the server, the client has to come this way again.
    host = _value(head, {"host"})
    lines += [f"x-forwarded-host: {host}", "x-forwarded-proto: http"] if host else []
    # A client without a key is to be told so by the server.
    lines += [f"x-api-key: {target.key}"] if _key(head) else []
    lines += [line for line in head[1:] if _name(line) not in _DROPPED]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _connect(url: str) -> socket.socket:
    parts = urllib.parse.urlsplit(url)
    family, kind, protocol, _, address = socket.getaddrinfo(parts.hostname, parts.port or 80, type=socket.SOCK_STREAM)[0]
    upstream = _Socket(family, kind, protocol)
    try:
        upstream.connect(address)
        upstream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        upstream.close()
        raise
    return upstream


def _send(client: socket.socket, upstream: socket.socket) -> None:
    """What the client still sends; that it went, the server learns at once."""
    is_read = True
    with contextlib.suppress(OSError):
        while chunk := client.recv(_CHUNK_BYTES):
            # A server that has answered early no longer reads; its answer is still on the way.
            with contextlib.suppress(OSError):
                if is_read:
                    is_read = False
                    upstream.sendall(chunk)
                    is_read = True
    with contextlib.suppress(OSError):
        upstream.shutdown(socket.SHUT_RDWR)


def _receive(upstream: socket.socket, client: socket.socket) -> None:
    """The answer; a connection that is reset is reset here, too."""
    try:
        while chunk := upstream.recv(_CHUNK_BYTES):
            client.sendall(chunk)
        client.shutdown(socket.SHUT_WR)
    except ConnectionResetError:
        with contextlib.suppress(OSError):
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.shutdown(socket.SHUT_RD)
    except OSError:
        pass


def _refuse(client: socket.socket, message: str) -> None:
    error = {"type": "error", "error": {"type": "permission_error", "message": message}}
    body = json.dumps(error).encode()
    head = f"HTTP/1.1 403 Forbidden\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    client.sendall(head.encode() + body)
    # What is still unread would turn the close into a reset, and the client would not see the answer.
    client.shutdown(socket.SHUT_WR)
    client.settimeout(_LINGER_S)
    while client.recv(_CHUNK_BYTES):
        pass
