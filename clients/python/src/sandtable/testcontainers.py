"""The image as a Testcontainers module: ``pip install sandtable[testcontainers]``.

    from sandtable.testcontainers import SandtableContainer

    with SandtableContainer() as sandtable:
        workspace = sandtable.workspace()
        client = anthropic.Anthropic(base_url=workspace.base_url, api_key=workspace.api_key)
"""

from __future__ import annotations

from typing import Any, Optional

from testcontainers.core.container import DockerContainer  # type: ignore[import-not-found, import-untyped, unused-ignore]
from testcontainers.core.wait_strategies import HttpWaitStrategy  # type: ignore[import-not-found, import-untyped, unused-ignore]

from .server import Server
from .workspace import Workspace

PORT = 4010
IMAGE = "sandtable:full"


class SandtableContainer(DockerContainer):  # type: ignore[misc, unused-ignore]
    """A container with a server. All of `DockerContainer` goes, such as ``with_env("SANDTABLE_SEED", "7")`` before the
    start; ``with_kwargs(privileged=True)`` gives it namespaces for its sandboxes."""

    def __init__(self, image: str = IMAGE, control_token: Optional[str] = None, **more: Any) -> None:
        super().__init__(image, **more)
        self._control_token = control_token
        self.with_exposed_ports(PORT)
        self.waiting_for(HttpWaitStrategy(PORT, "/_sandtable/health").for_status_code(200))
        if control_token is not None:
            self.with_env("SANDTABLE_CONTROL_TOKEN", control_token)

    def start(self) -> SandtableContainer:
        # An engine on another machine is reached by its name, which the server must know for its own.
        names = ("sandtable", "host.docker.internal", self._engine_host())
        if "SANDTABLE_ALLOW_HOST" not in self.env:
            self.with_env("SANDTABLE_ALLOW_HOST", ",".join(names))
        super().start()
        return self

    def _engine_host(self) -> str:
        """The name of the engine's machine, also before the container is started."""
        return str(self.get_docker_client().host())

    @property
    def base_url(self) -> str:
        """What a client's base URL must be."""
        return f"http://{self.get_container_host_ip()}:{self.get_exposed_port(PORT)}"

    @property
    def server(self) -> Server:
        """The server, as one that somebody else starts and stops."""
        return Server.connect(self.base_url, self._control_token)

    def workspace(self, api_key: Optional[str] = None) -> Workspace:
        """The workspace of a key, with its clock, scripts, faults, and journal; one that nobody else has if there is none."""
        return self.server.workspace(api_key)
