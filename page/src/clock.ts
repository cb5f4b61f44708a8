// The workspace's clock: shown in the head of the page, moved in a panel of its own.

import { get, put, workspace } from "./api";
import { button, h, show, tell } from "./dom";
import { span } from "./format";
import { calmly, type Panel } from "./panel";
import type { ClockState } from "./types";

let base = { at: Date.now(), seen: Date.now(), frozen: false };
const watchers = new Set<() => void>();

// The workspace's time, in milliseconds.
export const now = (): number => (base.frozen ? base.at : base.at + Date.now() - base.seen);

function take(clock: ClockState): void {
  base = { at: Date.parse(clock.now), seen: Date.now(), frozen: clock.frozen };
  for (const watcher of watchers) watcher();
}

export const readClock = calmly(async () => {
  if (workspace()) take(await get<ClockState>("clock"));
}, 300);

const text = (): string => new Date(now()).toISOString().slice(0, 19).replace("T", " ");

// The clock in the head of the page.
export function face(): HTMLElement {
  const time = h("time", {});
  const element = h("a", { class: "clock", href: "#/clock", title: "The workspace's clock (UTC)" }, time);
  const tick = (): void => {
    // Asked once: a second may end between two looks.
    const said = text();
    const [date = "", hour = ""] = said.split(" ");
    show(time, h("span", { class: "date" }, `${date} `), hour);
    element.classList.toggle("frozen", base.frozen);
    element.setAttribute("aria-label", `Clock: ${said} UTC${base.frozen ? ", frozen" : ""}`);
  };
  watchers.add(tick);
  setInterval(tick, 1000);
  tick();
  return element;
}

export function clock(): Panel {
  const big = h("p", { class: "bigclock" });
  const ahead = h("p", { class: "dim" });
  const freeze = button("", async () => change({ freeze: !base.frozen }));
  const custom = h("input", { value: "12h", "aria-label": "Span of time", size: 8, spellcheck: "false" });

  async function change(body: object): Promise<void> {
    take(await put<ClockState>("POST", "clock", body));
    tell(`It is ${text()}${base.frozen ? ", and stays so" : ""}`);
  }
  const tick = (): void => {
    big.textContent = text();
    const difference = now() - Date.now();
    show(ahead, base.frozen ? "Frozen. " : "Running. ", Math.abs(difference) < 2000 ? "In step with this machine." : difference > 0 ? `${span(difference)} ahead of this machine.` : `${span(-difference)} behind this machine.`);
    freeze.textContent = base.frozen ? "Let it run" : "Freeze";
  };
  watchers.add(tick);
  setInterval(tick, 1000);
  tick();

  const forward = (label: string, advance: string): HTMLElement => button(label, () => change({ advance }));
  const element = h("section", { class: "page", "aria-label": "Clock" },
    h("h1", { class: "title" }, "Clock"),
    h("p", { class: "lead" }, "Every workspace has a clock of its own. Containers expire by it, and waits end by it; it goes forward only."),
    big, ahead,
    h("div", { class: "actions" }, forward("+ 5 minutes", "5m"), forward("+ 1 hour", "1h"), forward("+ 1 day", "1d"), forward("+ 30 days", "30d"), freeze),
    h("form", { class: "actions", onsubmit: (event: Event) => { event.preventDefault(); void change({ advance: custom.value.trim() }).catch((error: unknown) => tell(String(error instanceof Error ? error.message : error), "bad")); } },
      h("label", {}, "Forward by ", custom), h("button", {}, "Advance")));
  return { element, route: tick, heard: (kinds) => { if (kinds.has("clock_moved")) readClock(); }, refresh: () => readClock() };
}
