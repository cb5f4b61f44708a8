// A stream's events on an axis of time, and as a list.

import { button, h, show, svg } from "./dom";
import { count, ms } from "./format";
import type { Event } from "./sse";
import { isObj, type Json } from "./types";
import { json } from "./viewer";

const WIDTH = 1000;
const LANE = 14;
// Marks that are drawn; more of them would stand on one another.
const MAX_MARKS = 1500;
const FIRST_EVENTS = 40;

// A row of marks for each block, one for the message itself.
function lane(event: Event): number {
  return isObj(event.data) && typeof event.data["index"] === "number" ? event.data["index"] + 1 : 0;
}

const kindClass = (kind: string): string => (kind === "error" ? "bad" : kind === "ping" ? "ping" : /_start$|_stop$/.test(kind) ? "edge" : "delta");

export function events(all: Event[], duration: number): HTMLElement {
  const timed = all.some((event) => event.at !== null);
  const rest = h("div", {});
  const more = (): void => show(rest, h("ol", { class: "events", start: FIRST_EVENTS + 1 }, all.slice(FIRST_EVENTS, 2000).map(line)));
  return h("section", { class: "stream", "aria-label": "Events" },
    h("h3", {}, `${count(all.length, "event")}${timed ? ` in ${ms(Math.max(...all.map((event) => event.at ?? 0)))}` : ""}`),
    timed && axis(all, duration),
    h("ol", { class: "events" }, all.slice(0, FIRST_EVENTS).map(line)),
    rest,
    all.length > FIRST_EVENTS && button(`Show ${count(Math.min(all.length, 2000) - FIRST_EVENTS, "more event")}`, more, { class: "link" }));
}

function axis(all: Event[], duration: number): HTMLElement {
  const end = Math.max(duration, ...all.map((event) => event.at ?? 0), 1);
  const lanes = Math.min(12, Math.max(...all.map(lane)) + 1);
  const height = lanes * LANE + 22;
  const every = Math.ceil(all.length / MAX_MARKS);
  const x = (at: number): number => 4 + (at / end) * (WIDTH - 8);
  const marks = all.filter((event, at) => at % every === 0 || event.kind === "error").map((event) =>
    svg("rect", { x: x(event.at ?? 0) - 1.5, y: Math.min(lane(event), lanes - 1) * LANE + 2, width: 3, height: LANE - 5, rx: 1.5, class: `m-${kindClass(event.kind)}` },
      svg("title", {}, `${event.kind} at ${ms(event.at ?? 0)}`)));
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((part) => svg("text", {
    x: x(part * end), y: height - 5, "text-anchor": part === 0 ? "start" : part === 1 ? "end" : "middle", class: "tick",
  }, ms(part * end)));
  const grid = [0, 0.25, 0.5, 0.75, 1].map((part) => svg("line", { x1: x(part * end), x2: x(part * end), y1: 0, y2: height - 18, class: "grid" }));
  return h("div", { class: "axis", tabindex: 0, role: "region", "aria-label": "Events by time" },
    svg("svg", { viewBox: `0 0 ${WIDTH} ${height}`, role: "img", "aria-label": `${all.length} events over ${ms(end)}` }, grid, marks, ticks) as unknown as Node);
}

// What is new in an event, without what its kind says already.
function brief(data: Json): string {
  const isDelta = isObj(data) && isObj(data["delta"]);
  const inner = isObj(data) && isObj(data["delta"]) ? data["delta"] : data;
  if (!isObj(inner)) return JSON.stringify(inner) ?? "";
  const { type: _, ...rest } = inner;
  const values = Object.values(rest);
  if (values.length === 0) return "";
  return JSON.stringify(isDelta && values.length === 1 ? values[0] : rest) ?? "";
}

function line(event: Event): HTMLElement {
  const short = brief(event.data);
  const inside = h("div", {});
  const details = h("details", { class: `m-${kindClass(event.kind)}` },
    h("summary", {}, h("span", { class: "at" }, event.at === null ? "" : ms(event.at)), h("span", { class: "kind" }, event.kind || "(no event)"), h("span", { class: "short" }, short.slice(0, 160))),
    inside);
  details.addEventListener("toggle", () => { if (details.open && !inside.firstChild) inside.append(json(event.data, "Event")); });
  return h("li", {}, details);
}
