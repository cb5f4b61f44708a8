"""A server of one's own: found, started, and ended with this process."""

from __future__ import annotations

import atexit
import json
import os
import pathlib
import subprocess
import tempfile
import threading
import uuid
from datetime import datetime
from types import TracebackType
from typing import Any, Mapping, Optional, Sequence, Union

from . import seal
from .binary import find_binary
from .errors import NotFoundError, SandtableError
from .http import ControlClient
from .reading import time_text
from .workspace import Fault, Rules, Workspace, _text, is_path

_STOP_S = 30.0
_LOG_TAIL = 4000


class Server:
    """A sandtable server on a free port of this machine.

    It ends with :meth:`stop`, at the end of a ``with`` block, when the interpreter exits, and, because it
    watches a pipe to this process, when this process is killed."""

    def __init__(
        self,
        *,
        binary: Union[None, str, "os.PathLike[str]"] = None,
        scripts: Sequence[Rules] = (),
        faults: Sequence[Fault] = (),
        seed: Optional[int] = None,
        frozen_at: Union[None, str, datetime] = None,
        backend: Optional[str] = None,
        data_dir: Union[None, str, "os.PathLike[str]"] = None,
        quirks: Optional[Mapping[str, str]] = None,
        cassette_dir: Union[None, str, "os.PathLike[str]"] = None,
        upstream: Optional[str] = None,
        args: Sequence[str] = (),
        env: Optional[Mapping[str, str]] = None,
        start_timeout: float = 60.0,
    ) -> None:
        """`scripts` and `faults` lie under every workspace. `seed` makes ids the same in every run. With
        `frozen_at` every clock begins at that time and stands still. `backend` is auto, docker, local, or
        none. Workspaces may mount cassettes below `cassette_dir`, and record them from `upstream`. `args` are further flags of the program, `env` further variables."""
        self._binary = binary
        self._scripts = list(scripts)
        self._faults = list(faults)
        self._flags = list(args)
        for flag, value in (
            ("--seed", seed),
            ("--frozen-at", frozen_at and time_text(frozen_at)),
            ("--backend", backend),
            ("--data-dir", data_dir),
            ("--cassette-dir", cassette_dir),
            ("--upstream", upstream),
        ):
            if value is not None:
                self._flags += [flag, str(value)]
        for name, value in (quirks or {}).items():
            self._flags += ["--profile", value] if name == "profile" else ["--quirk", f"{name}={value}"]
        self._env = dict(env or {})
        self._start_timeout = start_timeout
        self._process: Optional[subprocess.Popen[bytes]] = None
        self._folder: Optional[tempfile.TemporaryDirectory[str]] = None
        self._url: Optional[str] = None
        self._token: Optional[str] = None
        self._handed_out: set[str] = set()

    @classmethod
    def connect(cls, url: str, control_token: Optional[str] = None) -> Server:
        """A server that somebody else starts and stops."""
        server = cls()
        ControlClient(url, None, control_token).call("GET", "health")
        server._url, server._token = url.rstrip("/"), control_token
        return server

    @property
    def base_url(self) -> str:
        """What a client's base URL must be."""
        if self._url is None:
            raise SandtableError("the server does not run\n  hint: call `start()`, or use it in a `with` block")
        return self._url

    @property
    def pid(self) -> Optional[int]:
        """The process, if it is ours and runs."""
        return self._process.pid if self._process else None

    def workspace(self, api_key: Optional[str] = None) -> Workspace:
        """The workspace of a key; one that nobody else has if None."""
        key = api_key or f"sk-ant-{uuid.uuid4().hex}"
        self._handed_out.add(key)
        return Workspace(self.base_url, key, self._token)

    def workspace_behind(self, entrance: str, api_key: str, real_key: Optional[str] = None) -> Workspace:
        """The workspace of a key, which programs enter by another URL. With a real key it is that one's, and all
        clients enter there and get to know `api_key` alone."""
        workspace = Workspace(self.base_url, real_key or api_key, self._token)
        workspace.enter_by(entrance, api_key if real_key else None)
        return workspace

    def has_handed_out(self, api_key: str) -> bool:
        """Whether :meth:`workspace` has given this key to somebody."""
        return api_key in self._handed_out

    def log(self) -> str:
        """What the server has logged."""
        if self._folder is None:
            return ""
        return (pathlib.Path(self._folder.name) / "log").read_text(encoding="utf-8", errors="replace")

    def start(self) -> Server:
        """Starts it; it answers when this returns."""
        if self._url is not None:
            return self
        binary = os.fspath(self._binary) if self._binary else str(find_binary())
        self._folder = tempfile.TemporaryDirectory(prefix="sandtable-")
        # `stop` removes it, also where the interpreter exits first.
        atexit.register(self.stop)
        try:
            self._url = self._launch(binary, pathlib.Path(self._folder.name))
            ControlClient(self._url, None).call("GET", "health")
        except BaseException:
            self.stop()
            raise
        return self

    def _launch(self, binary: str, folder: pathlib.Path) -> str:
        command = [binary, "--port", "0", "--stop-at-eof", *self._given(folder), *self._flags]
        with open(folder / "log", "wb") as log:
            try:
                process = subprocess.Popen(
                    command,
                    # Nothing is ever written to it: it ends when this process does.
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env={**os.environ, **seal.of_servers(), **self._env},
                    # Ctrl-C is for the tests, which may still need the server to clear up.
                    start_new_session=True,
                )
            except OSError as error:
                raise NotFoundError(f"`{binary}` cannot be started: {error}") from error
        self._process = process
        found: list[str] = []
        heard = threading.Event()

        def listen() -> None:
            assert process.stdout is not None
            with process.stdout as lines:
                for line in lines:
                    word, _, url = line.decode(errors="replace").strip().partition(" ")
                    if word == "listening" and not found:
                        found.append(url.strip())
                        heard.set()
            heard.set()

        threading.Thread(target=listen, name="sandtable", daemon=True).start()
        if not heard.wait(self._start_timeout):
            raise SandtableError(f"the server is not up after {self._start_timeout:g} s; its log:\n{self._tail()}")
        if not found:
            process.wait(_STOP_S)
            raise SandtableError(f"the server does not start:\n{self._tail()}")
        return found[0]

    def _given(self, folder: pathlib.Path) -> list[str]:
        flags = []
        for number, rules in enumerate(self._scripts, 1):
            if is_path(rules):
                # Watched: an edit answers from the next request on.
                path = pathlib.Path(rules)  # type: ignore[arg-type]
            else:
                path = folder / f"script-{number}.yaml"
                path.write_text(_text(rules), encoding="utf-8")
            flags += ["--script", str(path)]
        if self._faults:
            path = folder / "faults.json"
            path.write_text(json.dumps(self._faults), encoding="utf-8")
            flags += ["--faults", str(path)]
        return flags

    def _tail(self) -> str:
        return self.log()[-_LOG_TAIL:].strip()

    def stop(self) -> None:
        """Ends the server and its sandboxes; does nothing where it does not run or is somebody else's."""
        atexit.unregister(self.stop)
        process, self._process = self._process, None
        if process is not None:
            self._url = None
            if process.stdin is not None:
                process.stdin.close()
            if process.poll() is None:
                process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        folder, self._folder = self._folder, None
        if folder is not None:
            folder.cleanup()

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<sandtable.Server {self._url or 'not running'}>"
