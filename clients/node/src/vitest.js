// The helper for vitest.
import { afterAll, afterEach, beforeEach, expect } from "vitest";
import testing from "./testing.cjs";

// For clients that are made from now on; earlier ones need `sandtable/vitest/env`.
testing.sealed();

const current = () => {
  const { currentTestName, testPath } = expect.getState();
  return { name: currentTestName, file: testPath };
};

export const useSandtable = (options) => testing.hooks({ afterAll, afterEach, beforeEach, current }, options);
