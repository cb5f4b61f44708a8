// The helper for jest, for `import`.
import jest from "./jest.cjs";

export const { useSandtable } = jest;
