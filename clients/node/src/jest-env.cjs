// For jest's `setupFilesAfterEnv`, and `setupFiles`: clients that modules make lead to sandtable.
"use strict";

const { sealFile } = require("./testing.cjs");

const secrets = globalThis.__sandtableSecrets;
delete globalThis.__sandtableSecrets;
sealFile(hooks(), secrets);

/** In `setupFiles` there are none yet. */
function hooks() {
  if (typeof globalThis.afterEach === "function") return globalThis;
  try {
    // With `injectGlobals: false`.
    return require("@jest/globals");
  } catch {
    return {};
  }
}
