// For jest's `globalSetup`: one server for the whole run, ended by `sandtable/jest/teardown`, and a sealed
// environment for its test files.
"use strict";

const { sealed, startRun } = require("./testing.cjs");

module.exports = async (_, project) => {
  globalThis.__sandtable = await startRun();
  if (!project) return;
  if (project.globals) project.globals.__sandtableSecrets = sealed().secrets;
  // Before the user's own, which may make clients.
  project.setupFiles?.unshift(require.resolve("./jest-env.cjs"));
  project.setupFilesAfterEnv?.unshift(require.resolve("./jest-hooks.cjs"));
};
