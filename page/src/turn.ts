// One request, opened.

import { get, send } from "./api";
import { blocks, text as drawText } from "./blocks";
import { asCassette, asCurl, asRule } from "./copies";
import { button, h, name, show, type Child } from "./dom";
import { events as drawEvents } from "./axis";
import { exactly, member } from "./exact";
import { moment, ms, usd } from "./format";
import { fold, parse, type Event } from "./sse";
import { statusClass } from "./requests";
import { isObj, list, str, type Json, type Lint, type Near, type Obj, type Turn, type Usage } from "./types";
import { body, json } from "./viewer";

export async function openTurn(place: HTMLElement, id: string, signal: AbortSignal): Promise<void> {
  try {
    const text = await (await send("GET", `page/turns/${encodeURIComponent(id)}`)).text();
    if (signal.aborted) return;
    show(place, await draw(text));
    place.scrollTop = 0;
  } catch (error) {
    if (signal.aborted) return;
    show(place, back(), h("div", { class: "blank" }, h("p", {}, error instanceof Error ? error.message : String(error))));
  }
}

const back = (): HTMLElement => h("a", { class: "back", href: "#/requests" }, "‹ Requests");

async function draw(text: string): Promise<Child[]> {
  const turn = JSON.parse(text) as Turn;
  const { entry } = turn;
  const raw = entry.response_body;
  const sent = member(text, "entry", "request_body") ?? "null";
  const came = member(text, "entry", "response_body") ?? "null";
  const streamed = typeof raw === "string" && /^text\/event-stream/.test(entry.response_headers["content-type"] ?? "");
  const events = streamed ? parse(raw, turn.marks) : [];
  const message = streamed ? fold(events) : isObj(raw) ? raw : null;
  return [
    back(),
    h("header", { class: "turnhead" },
      h("h2", {}, h("span", { class: `status ${statusClass(entry.status)}` }, String(entry.status)), " ", entry.method, " ", h("span", { class: "path" }, entry.path)),
      h("p", { class: "meta" }, h("code", {}, entry.id), ` · ${moment(entry.at)} · ${ms(entry.duration_ms)}`, entry.client_left && " · the client left", entry.broke && " · the connection broke", entry.batch && [" · batch ", h("code", {}, entry.batch.id)]),
      h("div", { class: "actions" },
        button("Copy as curl", () => asCurl(entry, sent)),
        // A cassette has requests, and not the items of a batch.
        !entry.batch && button("Copy as cassette", () => asCassette(entry)),
        entry.path === "/v1/messages" && button("Copy as script rule", () => asRule(entry)))),
    missed(turn),
    struck(turn),
    await facts(turn, message),
    lints([...entry.lints, ...turn.findings.filter((found) => !entry.lints.some((lint) => lint.code === found.code && lint.message === found.message))]),
    h("div", { class: "sides" },
      side("Request", asked(entry.request_body), body(exactly(sent), "Request"), [headersOf(entry.request_headers), entry.query ?? null]),
      side("Answer", answered(message, entry.response_body), body(exactly(came), "Answer"), [headersOf(entry.response_headers), null])),
    events.length > 0 && drawEvents(events, entry.duration_ms),
  ];
}

// Three views of a side: drawn, as it was, and the headers.
function side(label: string, drawn: Child, raw: HTMLElement, [headers, query]: [Child, string | null]): HTMLElement {
  const place = h("div", { class: "sidebody" });
  const views: [string, () => Child][] = [["Blocks", () => drawn], ["Raw", () => raw], ["Headers", () => [query && h("p", {}, h("code", {}, `?${query}`)), headers]]];
  const buttons = views.map(([title, view]) => button(title, () => pick(title, view), { "aria-pressed": "false", "aria-label": `${label}: ${title}` }));
  const pick = (title: string, view: () => Child): void => {
    for (const one of buttons) one.setAttribute("aria-pressed", String(one.textContent === title));
    show(place, view());
  };
  const first = drawn === null ? views[1] : views[0];
  if (first) pick(...first);
  return h("section", { class: "side", "aria-label": label }, h("div", { class: "sidehead" }, h("h3", {}, label), h("div", { class: "segments" }, buttons)), place);
}

function headersOf(headers: Record<string, string>): Child {
  return h("dl", { class: "headers" }, Object.entries(headers).map(([key, value]) => [h("dt", {}, key), h("dd", {}, value)]));
}

function asked(request: Json): Child {
  if (!isObj(request) || !Array.isArray(request["messages"])) return null;
  const messages = list(request["messages"]).filter(isObj);
  const system = request["system"];
  const drawn = messages.map((message, at) => {
    const inner = [h("h4", { class: "role" }, str(message["role"])), blocks(message["content"])];
    // The newest is what the turn is about.
    return at === messages.length - 1 ? h("article", { class: "message" }, inner) : h("details", { class: "message" }, h("summary", {}, `${str(message["role"])}, message ${at + 1}`), inner);
  });
  return [
    system !== undefined && h("details", { class: "message" }, h("summary", {}, "system"), typeof system === "string" ? drawText(system) : blocks(system)),
    drawn,
    settings(request),
  ];
}

function settings(request: Obj): Child {
  const tools = list(request["tools"]).filter(isObj).map((tool) => str(tool["type"]) || str(tool["name"]));
  const rest = Object.entries(request).filter(([key]) => !["messages", "system", "tools"].includes(key));
  return h("details", { class: "settings" }, h("summary", {}, "Settings"), h("dl", { class: "headers" },
    tools.length > 0 && [h("dt", {}, "tools"), h("dd", {}, tools.join(", "))],
    rest.map(([key, value]) => [h("dt", {}, key), h("dd", {}, JSON.stringify(value).slice(0, 500))])));
}

function answered(message: Obj | null, raw: Json): Child {
  if (!message) return typeof raw === "string" || raw === null ? null : json(raw, "Answer");
  const error = message["error"];
  const failed = isObj(error) && h("div", { class: "callout plain" }, h("strong", {}, str(error["type"])), h("p", { class: "prose pre" }, str(error["message"])));
  if (!Array.isArray(message["content"])) return failed || null;
  return [h("article", { class: "message" }, h("h4", { class: "role" }, "assistant"), blocks(message["content"])), failed];
}

async function facts(turn: Turn, message: Obj | null): Promise<Child> {
  const { entry, rule } = turn;
  const usage = isObj(message?.["usage"]) ? message["usage"] : null;
  const cost = usage ? await costOf(str(message?.["id"]), entry.at) : null;
  const container = isObj(message?.["container"]) ? str(message["container"]["id"]) : "";
  const fact = (label: string, value: Child): Child => value && h("div", {}, h("dt", {}, label), h("dd", {}, value));
  const number = (key: string): string => Number(usage?.[key] ?? 0).toLocaleString("en");
  return h("dl", { class: "facts" },
    fact("Answered by", entry.source && entry.source !== "unmatched" && [rule ? h("a", { href: "#/scripts" }, name(rule.name)) : entry.source === "fault" ? "a fault" : name(entry.source), rule && h("span", { class: "dim" }, " ", name(`${rule.file}:${rule.line}`))]),
    fact("Steps", turn.steps && turn.steps.length > 0 && turn.steps.slice(0, 30).map((step, at) => [at > 0 && ", ", step.step, h("span", { class: "dim" }, `:${step.line}`)])),
    fact("Model", message && str(message["model"])),
    fact("Stop", message && str(message["stop_reason"])),
    fact("Tokens", usage && `${number("input_tokens")} in, ${number("output_tokens")} out${usage["cache_read_input_tokens"] ? `, ${number("cache_read_input_tokens")} cached` : ""}`),
    fact("Cost", cost),
    fact("Container", container && h("a", { href: `#/containers/${container}` }, container)));
}


async function costOf(message: string, at: string): Promise<string | null> {
  const usage = await get<Usage>(`usage?month=${at.slice(0, 7)}`).catch(() => null);
  const line = usage?.turns.find((turn) => turn.message_id === message);
  return line && line.usd !== null ? usd(line.usd) : null;
}

function missed(turn: Turn): Child {
  if (!turn.miss) return null;
  const { nearest, message } = turn.miss;
  const unmatched = nearest !== undefined;
  return h("section", { class: "callout bad", "aria-label": "Why it failed" },
    h("h3", {}, !unmatched ? "The turn failed" : /^no recorded exchange/.test(message) ? "No recording matched" : "No rule matched"),
    nearest && nearest.length > 0
      ? [h("p", {}, "The nearest rules, and the clause that was in the way:"), h("ol", { class: "near" }, nearest.map(near))]
      : diff(message));
}

function near(rule: Near): Child {
  const { failed, used_up } = rule;
  return h("li", {},
    h("p", {}, h("a", { href: "#/scripts" }, name(rule.rule)), h("span", { class: "dim" }, ` ${rule.file}:${rule.line} · ${rule.held} of ${rule.clauses} clauses hold`)),
    failed && h("dl", { class: "clause" },
      h("div", {}, h("dt", {}, h("code", {}, failed.clause), ` wants`), h("dd", { class: "ins" }, failed.wants)),
      h("div", {}, h("dt", {}, "got"), h("dd", { class: "del" }, failed.got)),
      h("div", {}, h("dt", {}, "at"), h("dd", {}, `${rule.file}:${failed.line}`))),
    used_up && h("p", {}, `It has answered ${used_up.used} of ${used_up.times} times.`));
}

// What differs from a recording: `  PATH: recorded X, sent Y`.
const DIFFERENCE = /^ {2}(.+?): recorded (.*), sent (.*?)( \(hint: .*)?$/;

// A message of several lines; differences as what was wanted and what came.
function diff(message: string): Child {
  return message.slice(0, 20_000).split("\n").map((line) => {
    const [, path = "", recorded = "", sent = "", hint = ""] = DIFFERENCE.exec(line) ?? [];
    if (!path) return h("p", { class: "prose" }, line);
    return [h("dl", { class: "clause" },
      h("div", {}, h("dt", {}, "at"), h("dd", {}, path)),
      h("div", {}, h("dt", {}, "recorded"), h("dd", { class: "ins" }, recorded)),
      h("div", {}, h("dt", {}, "sent"), h("dd", { class: "del" }, sent))), hint && h("p", { class: "hint" }, hint.replace(/^ \(hint: |\)$/g, ""))];
  });
}

function struck(turn: Turn): Child {
  return turn.faults.length > 0 && h("section", { class: "callout warn", "aria-label": "Faults" },
    h("h3", {}, "Met by a fault"),
    turn.faults.map(({ id, layer, fault }) => h("p", {}, h("code", {}, JSON.stringify(fault)), h("span", { class: "dim" }, ` ${layer} fault ${id}`))));
}

export function lints(found: Lint[]): Child {
  return found.length > 0 && h("section", { class: "callout warn", "aria-label": "Lints" },
    h("h3", {}, "Lints"),
    found.slice(0, 50).map((lint) => h("div", { class: "lint" }, h("p", {}, h("span", { class: `chip ${lint.level === "error" ? "bad" : "warn"}` }, lint.level), " ", h("strong", {}, lint.code), " ", lint.message), h("p", { class: "hint" }, lint.hint))));
}

export type { Event };
