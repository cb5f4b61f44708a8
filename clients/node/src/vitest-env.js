// For vitest's `setupFiles`: clients that modules make lead to sandtable.
import { afterAll, afterEach, inject } from "vitest";
import testing from "./testing.cjs";

testing.sealFile({ afterAll, afterEach }, inject("sandtable"));
