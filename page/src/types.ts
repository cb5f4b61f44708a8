// What the server answers, as far as the page draws it.

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type Obj = { [key: string]: Json };

export type {
  ClockState, Container, ContainerFile, ContainerFiles, Diagnostic, Exchange as Entry, FaultState as Fault, Lint, Mark, Near, RuleState as Rule,
  TimelineRow as Row, TurnShown as Turn, Usage, Verdict, WorkspaceState,
} from "../../clients/node/src/control.cjs";

export const isObj = (value: unknown): value is Obj => typeof value === "object" && value !== null && !Array.isArray(value);
export const str = (value: unknown): string => (typeof value === "string" ? value : "");
export const list = (value: unknown): Json[] => (Array.isArray(value) ? (value as Json[]) : []);
