// The helper for jest.
"use strict";

const { hooks } = require("./testing.cjs");

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
