// The helper for vitest.
import type { UseOptions, Workspace } from "./index.cjs";

/**
 * A workspace for each test of the file or `describe` block it is called in, reset when the test ends.
 * While a test runs, ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY lead to it.
 */
export function useSandtable(options?: UseOptions): Workspace;
