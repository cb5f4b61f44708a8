// A request as something to paste elsewhere.

import { send } from "./api";
import { copy } from "./dom";
import { isObj, type Entry } from "./types";

const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

// Headers that say something; curl adds the others itself.
const TOLD = ["anthropic-version", "anthropic-beta", "content-type", "idempotency-key"];

export function curl(entry: Entry): string {
  const lines = [`curl -sS ${quoted(`${location.origin}${entry.path}${entry.query ? `?${entry.query}` : ""}`)}`];
  if (entry.method !== "GET" && !(entry.method === "POST" && entry.request_body !== null)) lines.push(`-X ${entry.method}`);
  lines.push(`-H "x-api-key: $ANTHROPIC_API_KEY"`);
  for (const name of TOLD) {
    const value = entry.request_headers[name];
    if (value) lines.push(`-H ${quoted(`${name}: ${value}`)}`);
  }
  const body = entry.request_body;
  if (isObj(body) && typeof body["size_bytes"] === "number" && !("messages" in body)) lines.push("--data-binary @body");
  else if (body !== null) lines.push(`--data-binary ${quoted(typeof body === "string" ? body : JSON.stringify(body))}`);
  return lines.join(" \\\n  ");
}

export const asCurl = (entry: Entry): Promise<void> => copy(curl(entry), "curl command");

// What the server makes of it, to be mounted, or loaded as a script.
async function asExport(entry: Entry, format: string, what: string): Promise<void> {
  const response = await send("GET", `journal?format=${format}&id=${encodeURIComponent(entry.id)}`);
  await copy(await response.text(), what);
}

export const asCassette = (entry: Entry): Promise<void> => asExport(entry, "cassette", "Cassette");

export const asRule = (entry: Entry): Promise<void> => asExport(entry, "script", "Script rule");
