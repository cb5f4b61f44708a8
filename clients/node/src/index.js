// The package, for `import`: the same objects as for `require`.
import sandtable from "./index.cjs";

export const { NotFoundError, RefusedError, SandtableError, Server, SilentError, Workspace, findBinary } = sandtable;
