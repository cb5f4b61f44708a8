// The image as a Testcontainers module.
"use strict";

const { AbstractStartedContainer, GenericContainer, Wait, getContainerRuntimeClient } = require("testcontainers");
const { Server } = require("./server.cjs");

const PORT = 4010;
const IMAGE = "sandtable:full";

/** A container with a server, before it is started. */
class SandtableContainer extends GenericContainer {
  #controlToken;

  constructor(image = IMAGE) {
    super(image);
    this.withExposedPorts(PORT).withWaitStrategy(Wait.forHttp("/_sandtable/health", PORT).forStatusCode(200));
  }

  /** Closes the control surface to whoever does not have the token. */
  withControlToken(token) {
    this.#controlToken = token;
    return this.withEnvironment({ SANDTABLE_CONTROL_TOKEN: token });
  }

  async start() {
    if (!("SANDTABLE_ALLOW_HOST" in this.environment)) {
      // An engine on another machine is reached by its name, which the server must know for its own.
      const runtime = await getContainerRuntimeClient();
      const names = ["sandtable", "host.docker.internal", runtime.info.containerRuntime.host];
      this.withEnvironment({ SANDTABLE_ALLOW_HOST: names.join(",") });
    }
    const started = await super.start();
    const baseUrl = `http://${started.getHost()}:${started.getMappedPort(PORT)}`;
    const server = await Server.connect(baseUrl, { controlToken: this.#controlToken });
    return new StartedSandtableContainer(started, server);
  }
}

/** A container whose server answers. */
class StartedSandtableContainer extends AbstractStartedContainer {
  constructor(container, server) {
    super(container);
    /** The server, as one that somebody else starts and stops. */
    this.server = server;
  }

  /** What a client's base URL must be. */
  get baseUrl() {
    return this.server.baseUrl;
  }

  /** The workspace of a key, with its clock, scripts, faults, and journal; one that nobody else has if there is none. */
  workspace(apiKey) {
    return this.server.workspace(apiKey);
  }
}

module.exports = { SandtableContainer, StartedSandtableContainer };
