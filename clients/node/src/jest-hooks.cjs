// What `sandtable/jest/setup` adds to `setupFilesAfterEnv`: a module that was in `setupFiles` does not run again.
"use strict";

const { sealFile } = require("./testing.cjs");

sealFile(require("@jest/globals"));
