// Content blocks of messages, drawn.

import { send } from "./api";
import { h, name, type Child } from "./dom";
import { isObj, list, str, type Json, type Obj } from "./types";
import { code, file, json } from "./viewer";
import type { Language } from "./highlight";

// How many blocks of one list are drawn at once; a history may have thousands.
const MAX_BLOCKS = 200;

export function blocks(content: Json | undefined): Child[] {
  if (typeof content === "string") return [text(content)];
  const all = list(content);
  const drawn: Child[] = all.slice(0, MAX_BLOCKS).map((block) => (isObj(block) ? one(block) : json(block, "Block")));
  if (all.length > MAX_BLOCKS) drawn.push(h("p", { class: "dim" }, `${all.length - MAX_BLOCKS} more blocks: see the raw answer.`));
  return drawn;
}

function box(kind: string, label: Child, ...inner: Child[]): HTMLElement {
  return h("section", { class: `block b-${kind}` }, h("h4", {}, label), ...inner);
}

const FENCE = /```(\w*)\n([^]*?)(?:\n```|$)/g;

// Text, its fenced code coloured.
export function text(value: string): HTMLElement {
  const parts: Child[] = [];
  let last = 0;
  const prose = (from: number, to?: number): void => {
    const piece = value.slice(from, to);
    if (piece.trim()) parts.push(piece.length > 12_000 ? code(piece, "text", "Text") : h("p", { class: "prose", dir: "auto" }, piece.trim()));
  };
  for (const match of value.slice(0, 200_000).matchAll(FENCE)) {
    prose(last, match.index);
    const language = ({ python: "python", py: "python", bash: "bash", sh: "bash", json: "json", yaml: "yaml" } as Record<string, Language>)[match[1] ?? ""] ?? "text";
    parts.push(code(match[2] ?? "", language, "Code"));
    last = match.index + match[0].length;
  }
  prose(last);
  return h("div", { class: "block b-text" }, parts.length > 0 ? parts : h("p", { class: "dim" }, "(empty)"));
}

function one(block: Obj): HTMLElement {
  const type = str(block["type"]);
  if (type === "text") return withCitations(text(str(block["text"])), block);
  if (type === "thinking") return box("thinking", "Thinking", h("p", { class: "prose", dir: "auto" }, str(block["thinking"]) || "(not shown)"), sealed("signature", block["signature"]));
  if (type === "redacted_thinking") return box("thinking", "Thinking, redacted", sealed("data", block["data"]));
  if (type === "container_upload") return box("upload", "Upload to the container", h("p", {}, h("code", {}, str(block["file_id"]))));
  if (type.endsWith("tool_use")) return call(block);
  if (type.endsWith("tool_result")) return result(block);
  if (type === "image" || type === "document") return box("other", type, json(block, type));
  return box("other", type || "Unknown block", json(block, type));
}

function withCitations(drawn: HTMLElement, block: Obj): HTMLElement {
  const citations = list(block["citations"]);
  if (citations.length > 0) {
    drawn.append(h("ol", { class: "cites" }, citations.filter(isObj).slice(0, 20).map((citation) => h("li", {}, h("q", {}, str(citation["cited_text"]).slice(0, 300)), " ", str(citation["title"]) || str(citation["url"]), sealed("encrypted_index", citation["encrypted_index"])))));
  }
  return drawn;
}

// What only the service can read is named, and not shown.
function sealed(label: string, value: Json | undefined): Child {
  const chars = str(value).length;
  return chars > 0 && h("p", { class: "sealed" }, h("span", { class: "lock", "aria-hidden": "true" }), `${label}: encrypted, ${chars.toLocaleString("en")} characters`);
}

function call(block: Obj): HTMLElement {
  const called = str(block["name"]);
  const input = isObj(block["input"]) ? block["input"] : {};
  const caller = isObj(block["caller"]) ? str(block["caller"]["type"]) : "";
  const label = [h("span", { class: "kind" }, "call"), " ", called, caller && caller !== "direct" && h("span", { class: "dim" }, ` by ${caller}`)];
  if (typeof input["command"] === "string" && called.startsWith("bash")) return box("call", label, code(input["command"], "bash", "Command"));
  if (typeof input["code"] === "string") return box("call", label, code(input["code"], "python", "Code"));
  if (called.startsWith("text_editor")) return box("call", label, editor(input));
  if (typeof input["query"] === "string" && Object.keys(input).length === 1) return box("call", label, h("p", { class: "prose" }, input["query"]));
  return box("call", label, json(input, "Input"));
}

function editor(input: Obj): Child[] {
  const path = str(input["path"]);
  const parts: Child[] = [h("p", {}, h("strong", {}, str(input["command"])), " ", name(path))];
  const language: Language = /\.py$/.test(path) ? "python" : /\.json$/.test(path) ? "json" : "text";
  if (typeof input["file_text"] === "string") parts.push(code(input["file_text"], language, "New file"));
  for (const [key, mark] of [["old_str", "del"], ["new_str", "ins"]] as const) {
    if (typeof input[key] === "string") parts.push(h("div", { class: mark }, code(input[key], language, mark === "del" ? "Old text" : "New text")));
  }
  return parts;
}

function result(block: Obj): HTMLElement {
  const type = str(block["type"]);
  const label = [h("span", { class: "kind" }, "result"), " ", type.replace(/_tool_result$/, "")];
  const content = block["content"];
  if (typeof content === "string") return box("result", label, code(content, "text", "Result"));
  if (Array.isArray(content)) return box("result", label, found(content));
  if (!isObj(content)) return box("result", label, json(block, "Result"));
  const failed = str(content["type"]).endsWith("_error");
  if (failed) return box("result bad", label, h("p", { class: "fail" }, h("strong", {}, str(content["error_code"])), " ", str(content["error_message"])));
  const returned = content["return_code"];
  if (typeof returned !== "number") {
    const shown = typeof content["content"] === "string" ? code(content["content"], "text", "File") : json(content, "Result");
    return box("result", label, shown);
  }
  if (returned !== 0) label.push(h("span", { class: "chip bad" }, `exit ${returned}`));
  return box(returned === 0 ? "result" : "result bad", label, outputs(content));
}

function outputs(content: Obj): Child[] {
  const streams: Child[] = (["stdout", "stderr"] as const).map((key) => {
    const value = str(content[key]);
    return value && h("div", { class: `out ${key}` }, h("h5", {}, key), code(value, "text", key));
  });
  const files = list(content["content"]).filter(isObj).filter((entry) => typeof entry["file_id"] === "string");
  const nothing = !str(content["stdout"]) && !str(content["stderr"]) && !str(content["encrypted_stdout"]) && files.length === 0;
  return [streams, sealed("stdout", content["encrypted_stdout"]), files.slice(0, 50).map((entry) => output(str(entry["file_id"]))), nothing && h("p", { class: "dim" }, "No output.")];
}

// A file that the call made: its name is asked for, its beginning shown.
function output(id: string): HTMLElement {
  const place = h("div", {}, h("p", { class: "dim" }, id));
  const load = (): Promise<Response> => send("GET", `page/files/${encodeURIComponent(id)}`);
  void load().then(
    (response) => {
      const filename = decodeURIComponent(response.headers.get("x-sandtable-filename") ?? id);
      const bytes = Number(response.headers.get("content-length") ?? "0");
      void response.body?.cancel();
      const shown = bytes < 1_000_000 && /\.(png|jpe?g|gif|webp|csv|tsv|txt|json|md)$/i.test(filename);
      place.replaceChildren(file(filename, id, load, shown));
    },
    () => place.append(h("p", { class: "dim" }, "The file is no longer there.")),
  );
  return place;
}

function found(content: Json[]): Child[] {
  const blocksOf = content.filter(isObj);
  if (blocksOf.some((block) => block["type"] === "web_search_result")) {
    return [h("ul", { class: "found" }, blocksOf.map((block) => h("li", {}, h("strong", {}, str(block["title"])), " ", h("span", { class: "dim" }, str(block["url"])), sealed("content", block["encrypted_content"]))))];
  }
  return blocks(content);
}
