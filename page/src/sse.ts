// A stream's text as events with their times, and as the message that they make.

import { isObj, list, str, type Json, type Mark, type Obj } from "./types";

export interface Event {
  kind: string;
  data: Json;
  // Milliseconds after the request came; null where nobody noted it.
  at: number | null;
  bytes: number;
}

const MAX_EVENTS = 20_000;

// Lines end as the writer likes, and an empty one ends the event.
const LINE = /\r\n|\n|\r/;
const FRAME = /[^]*?(?:(?:\r\n|\n|\r(?!\n)){2}|$)/g;

// The value of a field, without the one blank that may stand before it.
function field(line: string, name: string): string[] {
  return line.startsWith(`${name}:`) ? [line.slice(name.length + 1).replace(/^ /, "")] : [];
}

export function parse(text: string, marks: Mark[]): Event[] {
  const encoder = new TextEncoder();
  const events: Event[] = [];
  let end = 0;
  let mark = 0;
  for (const frame of text.match(FRAME) ?? []) {
    const bytes = encoder.encode(frame).length;
    end += bytes;
    if (!frame.trim()) continue;
    while (mark < marks.length - 1 && (marks[mark]?.end_bytes ?? 0) < end) mark += 1;
    const lines = frame.split(LINE);
    const data = lines.flatMap((line) => field(line, "data"));
    const kind = lines.flatMap((line) => field(line, "event"))[0] ?? "";
    events.push({ kind, data: read(data.join("\n")), at: marks[mark]?.ms ?? null, bytes });
    if (events.length >= MAX_EVENTS) break;
  }
  return events;
}

function read(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return text;
  }
}

// The message so far: a stream that broke off gives what had come.
export function fold(events: Event[]): Obj | null {
  let message: Obj | null = null;
  const partial = new Map<Obj, string>();
  for (const { data } of events) {
    if (!isObj(data)) continue;
    if (data["type"] === "message_start" && isObj(data["message"])) {
      message = { ...data["message"], content: [] };
    } else if (data["type"] === "error") {
      message = { ...(message ?? {}), error: data["error"] ?? null };
    } else if (message) {
      step(message, data, partial);
    }
  }
  return message;
}

function step(message: Obj, data: Obj, partial: Map<Obj, string>): void {
  const content = list(message["content"]);
  const block = content[Number(data["index"])];
  if (data["type"] === "content_block_start" && isObj(data["content_block"])) {
    content[Number(data["index"])] = { ...data["content_block"] };
  } else if (data["type"] === "content_block_delta" && isObj(block) && isObj(data["delta"])) {
    delta(block, data["delta"], partial);
  } else if (data["type"] === "content_block_stop" && isObj(block)) {
    const text = partial.get(block);
    if (text) block["input"] = read(text);
  } else if (data["type"] === "message_delta") {
    if (isObj(data["delta"])) Object.assign(message, data["delta"]);
    if (isObj(data["usage"])) message["usage"] = { ...(isObj(message["usage"]) ? message["usage"] : {}), ...data["usage"] };
  }
}

function delta(block: Obj, change: Obj, partial: Map<Obj, string>): void {
  if (change["type"] === "input_json_delta") {
    partial.set(block, (partial.get(block) ?? "") + str(change["partial_json"]));
  } else if (change["type"] === "citations_delta") {
    block["citations"] = [...list(block["citations"]), change["citation"] ?? null];
  } else if (change["type"] === "compaction_delta") {
    // The whole of it at once.
    const { type: _, ...whole } = change;
    Object.assign(block, whole);
  } else {
    for (const key of ["text", "thinking", "signature"]) {
      if (typeof change[key] === "string") block[key] = str(block[key]) + change[key];
    }
  }
}
