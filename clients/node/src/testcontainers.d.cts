import { AbstractStartedContainer, GenericContainer } from "testcontainers";
import type { Server, Workspace } from "./index.cjs";

/** A container with a server, before it is started; `withPrivilegedMode()` gives it namespaces for its sandboxes. */
export class SandtableContainer extends GenericContainer {
  /** `sandtable:full` if it is not said. */
  constructor(image?: string);
  /** Closes the control surface to whoever does not have the token. */
  withControlToken(token: string): this;
  start(): Promise<StartedSandtableContainer>;
}

/** A container whose server answers. */
export class StartedSandtableContainer extends AbstractStartedContainer {
  /** The server, as one that somebody else starts and stops. */
  readonly server: Server;
  /** The base URL for clients. */
  readonly baseUrl: string;
  /** The workspace of a key; one that nobody else has if there is none. */
  workspace(apiKey?: string): Workspace;
}
