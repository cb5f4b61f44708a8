// The image as a Testcontainers module.
export * from "./testcontainers.cjs";
