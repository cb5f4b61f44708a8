// For vitest's `globalSetup`: one server for the whole run, and a sealed environment for its test files.
import { fileURLToPath } from "node:url";
import testing from "./testing.cjs";

export default async function setup(project) {
  const server = await testing.startRun();
  project?.provide?.("sandtable", testing.sealed().secrets);
  // Before the user's own, which may make clients.
  const file = fileURLToPath(new URL("vitest-env.js", import.meta.url));
  const files = project?.config?.setupFiles;
  if (Array.isArray(files) && !files.includes(file)) files.unshift(file);
  return () => server.stop();
}
