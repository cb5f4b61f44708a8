// The helper for jest.
"use strict";

const { hooks, sealed } = require("./testing.cjs");

// For clients that are made from now on; earlier ones need `sandtable/jest/env`.
sealed();

function useSandtable(options) {
  // There only inside a test file.
  const { afterAll, afterEach, beforeEach, expect } = require("@jest/globals");
  const current = () => {
    const { currentTestName, testPath } = expect.getState();
    return { name: currentTestName, file: testPath };
  };
  return hooks({ afterAll, afterEach, beforeEach, current }, options);
}

module.exports = { useSandtable };
