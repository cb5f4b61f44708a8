// The panel of requests: the timeline beside the request that is open.

import { button, h, show, type Child } from "./dom";
import { count, ms, time } from "./format";
import { Rows } from "./rows";
import { openTurn } from "./turn";
import type { Row } from "./types";
import { VirtualList } from "./vlist";
import { go, type Panel } from "./panel";
import { workspace } from "./api";

const ROW_HEIGHT = 58;

// A row of the list: a request, or the head of a conversation.
type Item = { row: Row; head?: { thread: string; rows: number } };

const KINDS: [string, string, (row: Row) => boolean][] = [
  ["all", "All requests", () => true],
  ["turns", "Turns", (row) => row.method === "POST" && row.path === "/v1/messages"],
  ["errors", "Errors", (row) => row.status >= 400 || row.broke || row.failed],
  ["unmatched", "Unmatched", (row) => row.missed],
  ["lints", "With lints", (row) => row.lints > 0],
  ["faults", "Met by a fault", (row) => row.faults > 0],
];

export function requests(): Panel {
  let items: Item[] = [];
  let grouped = sessionStorage.getItem("sandtable.grouped") === "yes";
  let words = "";
  let kind = "all";
  let open: string | null = null;
  let closing: AbortController | null = null;

  const total = h("span", { class: "dim", "aria-live": "off" });
  const detail = h("div", { class: "detail" });
  const blank = h("div", { class: "blankspace" });
  const rows = new Rows((added) => rebuild(added));

  const fits = (row: Row): boolean => {
    const test = KINDS.find(([name]) => name === kind)?.[2];
    if (test && !test(row)) return false;
    return !words || [row.path, row.id, row.said, row.source, row.model, String(row.status), row.thread].some((text) => text?.toLowerCase().includes(words));
  };

  const list = new VirtualList<Item>("Requests, newest first", ROW_HEIGHT, {
    length: () => items.length,
    at: (index) => items[index],
    key: (item) => (item.head ? `t-${item.head.thread}` : item.row.id),
    draw: (item) => (item.head ? drawHead(item) : drawRow(item.row)),
    classes: (item) => (item.head ? "head" : grouped && item.row.thread ? "inside" : ""),
    chosen: (item) => go(`requests/${item.row.id}`),
    nearEnd: () => void rows.older().catch(() => undefined),
  });

  function rebuild(added: number): void {
    const wanted = rows.all.filter(fits);
    const before = items.length;
    items = grouped ? byThread(wanted) : wanted.reverse().map((row) => ({ row }));
    total.textContent = wanted.length === rows.all.length ? count(rows.all.length, "request") : `${wanted.length.toLocaleString("en")} of ${rows.all.length.toLocaleString("en")}`;
    blank.hidden = items.length > 0;
    list.element.hidden = items.length === 0;
    if (items.length === 0) show(blank, rows.all.length === 0 ? welcome() : h("p", { class: "dim" }, "No request fits the filter."));
    list.changed(added > 0 ? Math.max(0, items.length - before) : 0);
  }

  const search = h("input", { type: "search", placeholder: "Filter", "aria-label": "Filter requests", id: "filter", oninput: () => { words = search.value.trim().toLowerCase(); rebuild(0); } });
  const select = h("select", { "aria-label": "Kind of request", onchange: () => { kind = select.value; rebuild(0); } }, KINDS.map(([value, label]) => h("option", { value }, label)));
  const group = button("Conversations", () => {
    grouped = !grouped;
    sessionStorage.setItem("sandtable.grouped", grouped ? "yes" : "no");
    group.setAttribute("aria-pressed", String(grouped));
    rebuild(0);
  }, { class: "toggle", "aria-pressed": String(grouped), title: "Group the turns of a conversation" });

  const element = h("div", { class: "split" },
    h("section", { class: "master", "aria-label": "Timeline" },
      h("h1", { class: "hidden" }, "Requests"),
      h("div", { class: "bar" }, search, select, group, total),
      blank, list.element),
    detail);

  const draw = (): void => {
    closing?.abort();
    list.mark(open);
    element.classList.toggle("opened", open !== null);
    if (!open) return show(detail, h("div", { class: "blank" }, h("p", {}, "Open a request to see what was asked, what was answered, and why."), h("p", { class: "dim" }, h("kbd", {}, "j"), " ", h("kbd", {}, "k"), " move, ", h("kbd", {}, "/"), " filters, ", h("kbd", {}, "?"), " lists all keys")));
    closing = new AbortController();
    void openTurn(detail, open, closing.signal);
  };

  return {
    element,
    route: (rest) => { const next = rest || null; if (next !== open || next === null) { open = next; draw(); } },
    heard: (kinds) => { if (kinds.has("request_ended") || kinds.has("dropped")) rows.touch(); },
    refresh: () => rows.touch(),
    key: (key) => {
      if (key === "j" || key === "k") list.move(key === "j" ? 1 : -1);
      else if (key === "/") search.focus();
      else if (key === "Escape") go("requests");
      else return false;
      return true;
    },
  };
}

// Conversations by their newest turn; what belongs to none stands alone.
function byThread(wanted: Row[]): Item[] {
  const threads = new Map<string, Row[]>();
  for (const row of wanted) {
    const thread = row.thread ?? row.id;
    const rows = threads.get(thread);
    if (rows) rows.push(row);
    else threads.set(thread, [row]);
  }
  const sorted = [...threads.values()].sort((a, b) => (b.at(-1)?.n ?? 0) - (a.at(-1)?.n ?? 0));
  return sorted.flatMap((rows): Item[] => {
    const newest = rows.at(-1) as Row;
    if (!newest.thread) return rows.map((row) => ({ row }));
    return [{ row: newest, head: { thread: newest.thread, rows: rows.length } }, ...rows.map((row) => ({ row }))];
  });
}

function drawHead(item: Item): Node[] {
  return [
    h("div", { class: "said", dir: "auto" }, item.row.said ? plain(item.row.said) : "Conversation"),
    h("div", { class: "meta" }, count(item.head?.rows ?? 0, "turn"), " · ", item.row.model ?? ""),
  ];
}

export function statusClass(status: number): string {
  return status < 400 ? "ok" : status === 499 ? "warn" : "bad";
}

// A prompt that is a fenced block is known by its code.
const plain = (said: string): string => said.replace(/^\s*```\w*\s*/, "").replace(/\s*```\s*$/, "").trim() || said;

function drawRow(row: Row): Node[] {
  const chips: Child[] = [
    row.faults > 0 && h("span", { class: "chip warn" }, "fault"),
    row.lints > 0 && h("span", { class: "chip warn" }, count(row.lints, "lint")),
    row.left && h("span", { class: "chip warn" }, "client left"),
    row.broke && h("span", { class: "chip bad" }, "broke"),
    row.failed && h("span", { class: "chip bad" }, "error"),
    row.batch && h("span", { class: "chip" }, "batch"),
  ];
  const title = row.said ? plain(row.said) : `${row.method} ${row.path}`;
  return [
    h("div", { class: "line" },
      h("span", { class: `status ${statusClass(row.status)}` }, String(row.status)),
      h("span", { class: "said", dir: "auto" }, title),
      h("span", { class: "when" }, time(row.at))),
    h("div", { class: "line meta" },
      h("span", { class: "grow" }, [
        row.said ? (row.path === "/v1/messages" ? null : `${row.path} · `) : null,
        row.missed ? "no answer · " : row.source ? `${row.source} · ` : null,
        row.turn > 1 ? `turn ${row.turn} · ` : null,
        row.stream ? "stream · " : null,
        ms(row.ms),
      ]),
      chips),
  ];
}

function welcome(): Child {
  const here = location.origin;
  return h("div", { class: "welcome" },
    h("h2", {}, workspace() ? "Nothing was asked yet" : "Waiting for the first request"),
    h("p", {}, "Point a client here, with any key. What it asks appears at once."),
    h("pre", { tabindex: 0 }, `export ANTHROPIC_BASE_URL=${here}\nexport ANTHROPIC_API_KEY=sk-ant-local`));
}
