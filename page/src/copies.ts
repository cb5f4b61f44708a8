// A request as something to paste elsewhere.

import { send } from "./api";
import { copy } from "./dom";
import { isObj, type Entry } from "./types";

const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

// Headers that say something; curl adds the others itself.
const TOLD = ["anthropic-version", "anthropic-beta", "content-type", "idempotency-key"];

// `sent` is the body as JSON. What a client wrote means nothing to the shell or to curl: no globs in the address, no file in
// the body, no option in the method.
function curl(entry: Entry, sent: string): string {
  const lines = [`curl -sS -g --path-as-is ${quoted(`${location.origin}${entry.path}${entry.query ? `?${entry.query}` : ""}`)}`];
  lines.push(entry.method === "HEAD" ? "-I" : `-X ${/^[A-Z]+$/.test(entry.method) ? entry.method : quoted(entry.method)}`);
  lines.push(`-H "x-api-key: $ANTHROPIC_API_KEY"`);
  for (const name of TOLD) {
    const value = entry.request_headers[name];
    if (value) lines.push(`-H ${quoted(`${name}: ${value}`)}`);
  }
  const body = entry.request_body;
  if (body !== null) {
    // Else curl says that it is a form.
    if (!entry.request_headers["content-type"]) lines.push("-H content-type:");
    if (isObj(body) && typeof body["size_bytes"] === "number" && !("messages" in body)) lines.push("--data-binary @body");
    else lines.push(`--data-raw ${quoted(typeof body === "string" ? body : sent)}`);
  }
  return lines.join(" \\\n  ");
}

export const asCurl = (entry: Entry, sent: string): Promise<void> => copy(curl(entry, sent), "curl command");

// What the server makes of it, to be mounted, or loaded as a script.
async function asExport(entry: Entry, format: string, what: string): Promise<void> {
  const response = await send("GET", `journal?format=${format}&id=${encodeURIComponent(entry.id)}`);
  await copy(await response.text(), what);
}

export const asCassette = (entry: Entry): Promise<void> => asExport(entry, "cassette", "Cassette");

export const asRule = (entry: Entry): Promise<void> => asExport(entry, "script", "Script rule");
