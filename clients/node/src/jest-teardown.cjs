// For jest's `globalTeardown`.
"use strict";

module.exports = async () => {
  await globalThis.__sandtable?.stop();
};
