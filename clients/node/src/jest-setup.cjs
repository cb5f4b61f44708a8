// For jest's `globalSetup`: one server for the whole run, ended by `sandtable/jest/teardown`.
"use strict";

const { startRun } = require("./testing.cjs");

module.exports = async () => {
  globalThis.__sandtable = await startRun();
};
