// For vitest's `globalSetup`: one server for the whole run.
import testing from "./testing.cjs";

export default async function setup() {
  const server = await testing.startRun();
  return () => server.stop();
}
