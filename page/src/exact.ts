// JSON as it was written: a number that JavaScript cannot hold is another one once it is parsed.

import type { Json } from "./types";

// The text of a member of an object, by the names that lead there; null where there is none.
export function member(text: string, ...names: string[]): string | null {
  let part = text;
  for (const name of names) {
    let at = part.indexOf("{") + 1;
    let found: string | null = null;
    while (found === null && part[space(part, at)] === '"') {
      const from = space(part, at);
      const to = end(part, from);
      const value = space(part, space(part, to) + 1);
      const stop = end(part, value);
      if (JSON.parse(part.slice(from, to)) === name) found = part.slice(value, stop);
      at = space(part, stop) + 1;
    }
    if (found === null) return null;
    part = found;
  }
  return part;
}

function space(text: string, at: number): number {
  let next = at;
  while (/\s/.test(text[next] ?? "")) next += 1;
  return next;
}

// Where the value that begins at `at` ends.
function end(text: string, at: number): number {
  let depth = 0;
  for (let next = at; next < text.length; next += 1) {
    const c = text[next] ?? "";
    if (c === '"') {
      next += 1;
      while (next < text.length && text[next] !== '"') next += text[next] === "\\" ? 2 : 1;
    } else if (c === "{" || c === "[") {
      depth += 1;
    } else if (depth === 0 && /[\s,}\]]/.test(c)) {
      return next;
    } else if (c === "}" || c === "]") {
      depth -= 1;
    } else if (depth > 0 || !/[\s,}\]]/.test(text[next + 1] ?? ",")) {
      continue;
    }
    if (depth === 0) return next + 1;
  }
  return text.length;
}

// Before a number that is kept as a text. Nobody can have written it.
const MARK = `\u0000${Math.random()} `;
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]*/g;
const MARKED = new RegExp(`"${JSON.stringify(MARK).slice(1, -1).replace(/[\\.]/g, "\\$&")}([^"]*)"`, "g");

// Parses a text so that `written` gives its numbers back.
export function exactly(text: string): Json {
  const kept = (token: string): string => (token.startsWith('"') || String(Number(token)) === token ? token : JSON.stringify(MARK + token));
  return JSON.parse(text.replace(TOKEN, kept)) as Json;
}

export function written(value: Json, change?: (key: string, part: unknown) => unknown): string {
  return (JSON.stringify(value, change, 2) ?? "null").replace(MARKED, "$1");
}
