// What the server answers, as far as the page draws it.

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type Obj = { [key: string]: Json };

export interface Row {
  n: number;
  id: string;
  at: string;
  method: string;
  path: string;
  status: number;
  ms: number;
  source: string | null;
  lints: number;
  left: boolean;
  batch: string | null;
  faults: number;
  stream: boolean;
  model: string | null;
  said: string | null;
  turn: number;
  thread: string | null;
}

export interface Lint {
  code: string;
  level: "warning" | "error";
  message: string;
  hint: string;
  request_id?: string;
}

export interface Entry {
  id: string;
  at: string;
  method: string;
  path: string;
  query?: string;
  status: number;
  duration_ms: number;
  request_headers: Record<string, string>;
  request_body: Json;
  response_headers: Record<string, string>;
  response_body: Json;
  source?: string;
  lints: Lint[];
  client_left?: boolean;
  batch?: { id: string; custom_id: string };
}

export interface Rule {
  name: string;
  file: string;
  line: number;
  times?: number;
  used: number;
  layer: "workspace" | "base";
}

export interface Near {
  rule: string;
  file: string;
  line: number;
  held: number;
  clauses: number;
  failed?: { clause: string; line: number; wants: string; got: string };
  used_up?: { used: number; times: number };
}

export interface Turn {
  entry: Entry;
  marks: [number, number][];
  faults: { id: number; layer: string; fault: Obj }[];
  rule: Rule | null;
  steps?: { step: string; line: number }[];
  miss: { message: string; nearest?: Near[] } | null;
  findings: Lint[];
}

export interface Container {
  id: string;
  workspace: string;
  state: "awake" | "asleep" | "expired";
  created_at: string;
  last_used_at: string;
  expires_at: string;
  ends_at: string;
}

export interface Fault {
  id: number;
  layer: string;
  fault: Obj;
  matched: number;
  fired: number;
  left: number | null;
}

export const isObj = (value: unknown): value is Obj => typeof value === "object" && value !== null && !Array.isArray(value);
export const str = (value: unknown): string => (typeof value === "string" ? value : "");
export const list = (value: unknown): Json[] => (Array.isArray(value) ? (value as Json[]) : []);
