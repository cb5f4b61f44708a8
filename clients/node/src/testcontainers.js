// The image as a Testcontainers module, for `import`.
import testcontainers from "./testcontainers.cjs";

export const { SandtableContainer, StartedSandtableContainer } = testcontainers;
