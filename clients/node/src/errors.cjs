// What can go wrong between a test and the server.
"use strict";

/** Any error of this package. */
class SandtableError extends Error {
  get name() {
    return this.constructor.name;
  }
}

/** There is no `sandtable` program, or it cannot be built or started. */
class NotFoundError extends SandtableError {}

/** The server gives no answer, or none that can be read. */
class SilentError extends SandtableError {}

/** The server refused a call, and says how to do better. */
class RefusedError extends SandtableError {
  constructor(status, reason, hint) {
    super(hint ? `${reason}\n  hint: ${hint}` : reason);
    this.status = status;
    this.reason = reason;
    this.hint = hint;
  }
}

module.exports = { SandtableError, NotFoundError, SilentError, RefusedError };
