// The panel of faults: those that are set, and the catalogue to choose from.

import { get, put, send, workspace } from "./api";
import { button, h, name, show, tell } from "./dom";
import { count } from "./format";
import { calmly, type Panel } from "./panel";
import type { Fault, Obj } from "./types";

const CATALOGUE: [string, [string, string, Obj][]][] = [
  ["Before an answer", [
    ["Overloaded", "529, as on a busy day", { at: "http", path: "/v1/messages", type: "overloaded_error" }],
    ["Rate limited", "429 with retry-after", { at: "http", status: 429, headers: { "retry-after": "1" } }],
    ["Server error", "500", { at: "http", status: 500 }],
    ["Spend limit", "429 that is not to be retried", { at: "http", type: "rate_limit_error", error_code: "enforced_spend_limit_reached", headers: { "x-should-retry": "false" } }],
    ["Too large", "413 of the service's edge", { at: "http", status: 413, edge: true }],
    ["Closed", "the connection ends without an answer", { at: "http", do: "cut" }],
    ["Silence", "no answer comes", { at: "http", do: "stall", for_ms: 10000 }],
    ["Late", "the answer takes two seconds more", { at: "http", delay_ms: 2000 }],
    ["A month passes", "the clock moves 30 days", { at: "http", path: "/v1/messages", do: "advance", by: "30d" }],
    ["File gone", "the file that the request names", { at: "http", do: "delete_file" }],
  ]],
  ["In a turn", [
    ["Pause", "pause_turn between two steps", { at: "turn", do: "pause_turn", after_blocks: 1 }],
    ["Pause in a call", "its result comes later", { at: "turn", do: "pause_turn", inside: true }],
    ["Refusal", "with stop_details", { at: "turn", do: "stop", stop_reason: "refusal" }],
    ["Token limit", "max_tokens in the middle of a text", { at: "turn", do: "stop", stop_reason: "max_tokens", after_chars: 20 }],
    ["Context full", "model_context_window_exceeded", { at: "turn", do: "stop", stop_reason: "model_context_window_exceeded" }],
    ["Container over", "the one that the request names", { at: "turn", do: "expire_container" }],
  ]],
  ["In a stream", [
    ["Overloaded", "an error event in the middle", { at: "stream", after_events: 5, type: "overloaded_error" }],
    ["Cut", "no message_stop", { at: "stream", after_events: 4, do: "cut" }],
    ["Stall", "silence without pings", { at: "stream", after_events: 3, do: "stall", for_ms: 5000 }],
    ["Slow", "a pause before every event", { at: "stream", delay_ms: 100 }],
  ]],
  ["On the wire", [
    ["At a model's pace", "40 tokens a second", { at: "wire", do: "pace", ttft_ms: 400, tokens_per_second: 40, jitter: 0.3 }],
    ["Reset", "RST after three events", { at: "wire", do: "reset", after_events: 3 }],
    ["Broken JSON", "an event that nobody can read", { at: "wire", do: "malformed", after_events: 2 }],
    ["Unknown event", "to be passed over", { at: "wire", do: "unknown_event", after_events: 2 }],
    ["Small writes", "seven bytes at a time", { at: "wire", do: "split", bytes: 7 }],
    ["Pings", "three in a row", { at: "wire", do: "pings", count: 3, after_events: 2 }],
  ]],
  ["In a tool", [
    ["Unavailable", "the call gets an error block", { at: "tool", error_code: "unavailable" }],
    ["Container expired", "as after 30 days", { at: "tool", error_code: "container_expired" }],
    ["Too long", "execution_time_exceeded", { at: "tool", error_code: "execution_time_exceeded" }],
    ["Sandbox dies", "it is really killed", { at: "tool", do: "kill_sandbox" }],
    ["Out of memory", "exit code 137", { at: "tool", do: "exhaust_memory" }],
    ["Disk full", "while the call runs", { at: "tool", do: "fill_disk" }],
  ]],
];

export function faults(): Panel {
  let fired = new Map<number, number>();
  const listing = h("div", { class: "faults" });
  const editor = h("textarea", { rows: 7, "aria-label": "The fault as JSON", spellcheck: "false", id: "fault" });
  const times = h("input", { value: "1", "aria-label": "Times", size: 4 });
  const nth = h("input", { "aria-label": "From the nth occasion", placeholder: "1", size: 4 });
  const model = h("input", { "aria-label": "Model", placeholder: "any", size: 14, spellcheck: "false" });
  let chosen: Obj = CATALOGUE[0]?.[1][0]?.[2] ?? {};

  function aim(): void {
    const fault: Obj = { ...chosen };
    if (times.value.trim() && times.value.trim() !== "1") fault["times"] = times.value.trim() === "always" ? "always" : Number(times.value);
    if (nth.value.trim()) fault["nth"] = Number(nth.value);
    if (model.value.trim()) fault["model"] = model.value.trim();
    editor.value = JSON.stringify(fault, null, 2);
  }
  for (const input of [times, nth, model]) input.addEventListener("input", aim);

  const refresh = calmly(async () => {
    if (!workspace()) return show(listing, h("p", { class: "dim" }, "No workspace yet."));
    const { data } = await get<{ data: Fault[] }>("faults");
    show(listing, data.length === 0 ? h("p", { class: "dim" }, "None is set.") : data.map((fault) => drawn(fault, fired)));
    fired = new Map(data.map((fault) => [fault.id, fault.fired]));
  }, 200);

  const picks: HTMLButtonElement[] = [];
  const catalogue = CATALOGUE.map(([title, entries]) => h("fieldset", {}, h("legend", {}, title), h("div", { class: "picks" }, entries.map(([label, what, fault]) => {
    const pick = button([h("strong", {}, label), h("span", {}, what)], () => {
      chosen = fault;
      for (const other of picks) other.setAttribute("aria-pressed", String(other === pick));
      aim();
    }, { class: "pick", "aria-pressed": "false" });
    picks.push(pick);
    return pick;
  }))));

  const set = button("Set the fault", async () => {
    await put("POST", "faults", editor.value);
    tell("Set: it waits for its occasion");
    refresh();
  }, { class: "primary" });
  const clear = button("Clear all", async () => {
    await send("DELETE", "faults");
    tell("The workspace has no faults of its own");
    refresh();
  });

  const element = h("section", { class: "page wide", "aria-label": "Faults" },
    h("h1", { class: "title" }, "Faults"),
    h("p", { class: "lead" }, "Make the service fail on purpose: choose what happens, aim it, and watch it fire."),
    h("div", { class: "columns" },
      h("div", {}, catalogue),
      h("div", { class: "aside" },
        h("h2", {}, "Aim"),
        h("div", { class: "aim" }, h("label", {}, "Times ", times), h("label", {}, "From occasion ", nth), h("label", {}, "Model ", model)),
        editor, h("div", { class: "actions" }, set),
        h("h2", {}, "Set in this workspace"), listing, h("div", { class: "actions" }, clear))));
  picks[0]?.setAttribute("aria-pressed", "true");
  aim();
  return { element, route: refresh, heard: (kinds) => { if (kinds.has("fault_fired") || kinds.has("request_ended")) refresh(); }, refresh };
}

function drawn(fault: Fault, before: Map<number, number>): HTMLElement {
  const fresh = fault.fired > (before.get(fault.id) ?? fault.fired);
  const { at, do: does, type, status, error_code, name: label } = fault.fault;
  const what = [at, does ?? error_code ?? type ?? status ?? (fault.fault["delay_ms"] !== undefined ? "delay" : "")].filter(Boolean).join(" · ");
  return h("div", { class: `fault ${fresh ? "fresh" : ""}` },
    h("div", { class: "line" }, h("strong", { class: "grow" }, name(String(label ?? what))), h("span", { class: `chip ${fault.fired > 0 ? "warn" : ""}` }, `fired ${fault.fired}×`)),
    h("div", { class: "meta" }, fault.left === null ? "for ever" : fault.left === 0 ? "spent" : `${count(fault.left, "time")} left`, ` · ${fault.layer}`),
    h("pre", { tabindex: 0 }, JSON.stringify(fault.fault)));
}
