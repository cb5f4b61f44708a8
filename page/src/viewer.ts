// Texts, tables, pictures: whatever bytes there are, shown so that they cannot do anything.

import { button, copy, download, h, name, show, type Child } from "./dom";
import { written } from "./exact";
import { size } from "./format";
import { highlight, type Language } from "./highlight";
import type { Json } from "./types";

// How much of a text stands on the page before somebody asks for more.
const FIRST_CHARS = 12_000;
const MORE_CHARS = 200_000;
const MAX_ROWS = 100;
const MAX_COLUMNS = 30;
const MAX_CELL = 200;

// A text in full width, its beginning first.
export function code(text: string, language: Language = "text", label = "Text"): HTMLElement {
  const pre = h("pre", { tabindex: 0, role: "region", "aria-label": label });
  const foot = h("div", { class: "foot" });
  const box = h("div", { class: "code" }, pre, foot);
  const draw = (chars: number): void => {
    show(pre, highlight(text.slice(0, chars), language));
    const left = text.length - chars;
    show(foot, left > 0 && [
      h("span", {}, `${size(left)} more`),
      button("Show more", () => draw(chars + MORE_CHARS), { class: "link" }),
      button("Download all", () => download(new Blob([text]), "text.txt"), { class: "link" }),
    ]);
  };
  draw(FIRST_CHARS);
  return box;
}

const LONG = 2000;

// JSON with its long strings cut, and all of it for the clipboard.
export function json(value: Json, label: string): HTMLElement {
  const short = written(value, (_, part) =>
    typeof part === "string" && part.length > LONG ? `${part.slice(0, 200)}… ${(part.length - 200).toLocaleString("en")} more characters` : part);
  return h("div", { class: "json" },
    button("Copy", () => copy(written(value), label), { class: "link corner" }),
    code(short, "json", label));
}

export function body(value: Json, label: string): HTMLElement {
  if (value === null) return h("p", { class: "dim" }, "No body.");
  if (typeof value === "string") return code(value, "text", label);
  return json(value, label);
}

// What a file is, by its first bytes: a name can say anything.
function picture(bytes: Uint8Array): string | null {
  const begins = (...prefix: number[]): boolean => prefix.every((byte, at) => bytes[at] === byte);
  if (begins(0x89, 0x50, 0x4e, 0x47)) return "image/png";
  if (begins(0xff, 0xd8, 0xff)) return "image/jpeg";
  if (begins(0x47, 0x49, 0x46, 0x38)) return "image/gif";
  if (begins(0x52, 0x49, 0x46, 0x46) && bytes[8] === 0x57) return "image/webp";
  return null;
}

// Bytes beyond this are offered for download alone.
const MAX_PREVIEW = 4_000_000;

export async function preview(filename: string, load: () => Promise<Response>): Promise<HTMLElement> {
  const response = await load();
  const length = Number(response.headers.get("content-length") ?? "0");
  if (length > MAX_PREVIEW) {
    await response.body?.cancel();
    return h("p", { class: "dim" }, `${size(length)}: too large to show here.`);
  }
  const bytes = new Uint8Array(await response.arrayBuffer());
  const kind = picture(bytes);
  if (kind) return image(bytes, kind, filename);
  const text = decode(bytes);
  if (text === null) return h("p", { class: "dim" }, `${size(bytes.length)} of binary data.`);
  if (/\.(csv|tsv)$/i.test(filename)) return table(text, /\.tsv$/i.test(filename) ? "\t" : ",");
  return code(text, languageOf(filename), `Content of ${filename.slice(0, 100)}`);
}

function image(bytes: Uint8Array, kind: string, filename: string): HTMLElement {
  const url = URL.createObjectURL(new Blob([bytes as BlobPart], { type: kind }));
  const picture = h("img", { src: url, alt: `Picture ${filename.slice(0, 100)}`, class: "picture" });
  picture.addEventListener("load", () => URL.revokeObjectURL(url));
  return h("div", { class: "pictures" }, picture);
}

function decode(bytes: Uint8Array): string | null {
  if (bytes.subarray(0, 8000).includes(0)) return null;
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return null;
  }
}

export function languageOf(filename: string): Language {
  const end = /\.(\w+)$/.exec(filename)?.[1]?.toLowerCase() ?? "";
  return ({ py: "python", sh: "bash", json: "json", yaml: "yaml", yml: "yaml" } as Record<string, Language>)[end] ?? "text";
}

function table(text: string, separator: string): HTMLElement {
  const { rows, more } = parseCsv(text, separator);
  const [head, ...rest] = rows;
  const cell = (value: string): Child => (value.length > MAX_CELL ? `${value.slice(0, MAX_CELL)}…` : value);
  const numeric = (value: string | undefined): boolean => !!value && /^-?[\d.,]+%?$/.test(value);
  return h("div", { class: "table", tabindex: 0, role: "region", "aria-label": "Table" },
    h("table", {},
      h("thead", {}, h("tr", {}, (head ?? []).map((value, at) => h("th", { scope: "col", class: numeric(rest[0]?.[at]) && "num" }, cell(value))))),
      h("tbody", {}, rest.map((row) => h("tr", {}, row.map((value) => h("td", { class: numeric(value) && "num" }, cell(value))))))),
    more && h("p", { class: "dim" }, `The first ${rest.length} rows.`));
}

export function parseCsv(text: string, separator: string): { rows: string[][]; more: boolean } {
  const rows: string[][] = [];
  let row: string[] = [];
  let cell = "";
  let quoted = false;
  const end = (): void => {
    if (row.length < MAX_COLUMNS) row.push(cell);
    cell = "";
  };
  for (let at = 0; at < text.length; at += 1) {
    const c = text[at];
    if (quoted) {
      if (c === '"' && text[at + 1] === '"') at += 1;
      else if (c === '"') { quoted = false; continue; }
      cell += c;
    } else if (c === '"' && cell === "") quoted = true;
    else if (c === separator) end();
    else if (c === "\n") {
      end();
      rows.push(row);
      row = [];
      if (rows.length > MAX_ROWS) return { rows, more: at < text.length - 1 };
    } else if (c !== "\r") cell += c;
  }
  if (cell || row.length > 0) { end(); rows.push(row); }
  return { rows, more: false };
}

// A file with its name, a preview on demand, and a download.
export function file(filename: string, detail: string, load: () => Promise<Response>, open = false): HTMLElement {
  const place = h("div", { class: "preview" });
  const toggle = button("Preview", async () => {
    const closed = toggle.getAttribute("aria-expanded") !== "true";
    toggle.setAttribute("aria-expanded", String(closed));
    if (closed) show(place, await preview(filename, load));
    else show(place);
  }, { class: "link", "aria-expanded": "false" });
  const save = button("Download", async () => download(await (await load()).blob(), filename), { class: "link" });
  if (open) toggle.click();
  return h("div", { class: "file" }, h("div", { class: "filehead" }, name(filename), h("span", { class: "dim grow" }, detail), h("span", { class: "pair" }, toggle, save)), place);
}
