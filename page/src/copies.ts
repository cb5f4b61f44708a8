// A request as something to paste elsewhere.

import { send } from "./api";
import { copy } from "./dom";
import { isObj, list, str, type Entry, type Json, type Obj } from "./types";

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

export async function asCassette(entry: Entry): Promise<void> {
  const response = await send("GET", `journal?format=cassette&id=${encodeURIComponent(entry.id)}`);
  await copy(await response.text(), "Cassette");
}

export const asRule = (entry: Entry, message: Obj | null): Promise<void> => copy(rule(entry, message), "Script rule");

// A double-quoted scalar of YAML is JSON's; `${{` would be a template.
const scalar = (text: string): string => JSON.stringify(text.replaceAll("${{", "$ {{"));

// JSON is YAML: what has no short form stays as it is.
export function rule(entry: Entry, message: Obj | null): string {
  const request = isObj(entry.request_body) ? entry.request_body : {};
  const said = newest(request);
  const when = [
    said && `user: { contains: ${scalar(said)} }`,
    list(request["tools"]).some((tool) => isObj(tool) && str(tool["type"]).startsWith("code_execution")) && "tools: code_execution",
  ].filter(Boolean);
  const steps = list(message?.["content"]).filter(isObj).flatMap(step);
  const lines = [`- name: ${scalar(said.slice(0, 40) || entry.id)}`];
  if (when.length > 0) lines.push("  when:", ...when.map((clause) => `    ${clause}`));
  lines.push("  then:", ...(steps.length > 0 ? steps : ['text: "Hello."']).map((one) => `    - ${one}`));
  return `${lines.join("\n")}\n`;
}

function newest(request: Obj): string {
  const users = list(request["messages"]).filter(isObj).filter((message) => message["role"] === "user");
  for (const message of users.reverse()) {
    const content = message["content"];
    const texts = typeof content === "string" ? [content] : list(content).filter(isObj).map((block) => str(block["text"])).filter(Boolean);
    const last = texts.at(-1);
    if (last) return last.slice(0, 200);
  }
  return "";
}

function step(block: Obj): string[] {
  const input: Record<string, Json> = isObj(block["input"]) ? block["input"] : {};
  const called = str(block["name"]);
  if (block["type"] === "text") return str(block["text"]) ? [`text: ${scalar(str(block["text"]))}`] : [];
  if (block["type"] === "thinking") return str(block["thinking"]) ? [`thinking: ${scalar(str(block["thinking"]))}`] : [];
  if (block["type"] === "tool_use") return [`tool_use: ${JSON.stringify({ name: called, input })}`];
  if (block["type"] !== "server_tool_use") return [];
  if (called === "bash_code_execution") return [`bash: ${scalar(str(input["command"]))}`];
  if (called === "code_execution") return [`python: ${scalar(str(input["code"]))}`];
  if (called === "text_editor_code_execution") return [`text_editor: ${JSON.stringify(input)}`];
  if (called === "web_search") return [`web_search: ${scalar(str(input["query"]))}`];
  if (called === "web_fetch") return [`web_fetch: ${scalar(str(input["url"]))}`];
  return [];
}
