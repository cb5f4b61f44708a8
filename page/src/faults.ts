// The panel of faults: those that are set, and the catalogue to choose from.

import catalogue from "./catalogue.json";
import { get, put, send, workspace } from "./api";
import { button, h, name, show, tell } from "./dom";
import { count } from "./format";
import { calmly, type Panel } from "./panel";
import type { Fault, Obj } from "./types";

// Also read by the program's own tests: no kind of fault may be missing in it.
const CATALOGUE = catalogue as unknown as { title: string; faults: { name: string; says: string; fault: Obj }[] }[];

export function faults(): Panel {
  let fired = new Map<number, number>();
  const listing = h("div", { class: "faults" });
  const editor = h("textarea", { rows: 7, "aria-label": "The fault as JSON", spellcheck: "false", id: "fault" });
  const times = h("input", { value: "1", "aria-label": "Times", size: 4 });
  const nth = h("input", { "aria-label": "From the nth occasion", placeholder: "1", size: 4 });
  const model = h("input", { "aria-label": "Model", placeholder: "any", size: 14, spellcheck: "false" });
  let chosen: Obj = CATALOGUE[0]?.faults[0]?.fault ?? {};

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
  const choices = CATALOGUE.map(({ title, faults }) => h("fieldset", {}, h("legend", {}, title), h("div", { class: "picks" }, faults.map(({ name: label, says, fault }) => {
    const pick = button([h("strong", {}, label), h("span", {}, says)], () => {
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
      h("div", {}, choices),
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
