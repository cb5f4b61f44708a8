// The helper for jest.
export * from "./jest.cjs";
