// The package, for `require`.
"use strict";

const errors = require("./errors.cjs");
const { findBinary } = require("./binary.cjs");
const { Server } = require("./server.cjs");
const { Workspace } = require("./workspace.cjs");

module.exports = { ...errors, Server, Workspace, findBinary: (near) => findBinary(near) };
