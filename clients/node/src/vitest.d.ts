// The helper for vitest.
import type { UseOptions, Workspace } from "./index.cjs";

/**
 * A workspace for each test of the file or `describe` block it is called in, reset when the test ends.
 * A client that is made without arguments leads to it, be it made in the test or, with a setup file, by a module.
 */
export function useSandtable(options?: UseOptions): Workspace;
