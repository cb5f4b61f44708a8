// The panel of scripts: rules with their counts, what ran of them, and an editor that checks.

import { get, put, send, workspace } from "./api";
import { button, Folds, h, name, renew, show, tell, type Child } from "./dom";
import { count } from "./format";
import { calmly, type Panel } from "./panel";
import type { Diagnostic, Rule } from "./types";

const EXAMPLE = `- name: lunch
  when: { user: { contains: lunch } }
  then:
    - text: Let me look.
    - bash: date +%A
    - text: "It is \${{ last.stdout | trim }}: soup."
`;

export function scripts(): Panel {
  // The texts that the server has, which of them is edited, and the workspace that they are of.
  let texts: string[] = [];
  let at = 0;
  let loaded = "";
  let of = workspace();
  // What was typed elsewhere and not loaded.
  const drafts = new Map<string, string>();
  let listed = "";
  let asked = 0;
  const folds = new Folds();
  const rules = h("div", { class: "rules" });
  const mistakes = h("div", { class: "mistakes", role: "status" });
  const lines = h("div", { class: "gutter", "aria-hidden": "true" });
  const area = h("textarea", { "aria-label": "Script", spellcheck: "false", wrap: "off", id: "script" });
  const load = button("Load", async () => {
    const text = area.value;
    const answer = await put<{ rules: number }>("PUT", texts.length > 1 ? `scripts?source=${at + 1}` : "scripts", text);
    loaded = text;
    tell(`${count(answer.rules, "rule")} loaded`);
    refresh();
  }, { class: "primary" });
  const choice = h("select", { "aria-label": "Text", onchange: () => { leave(); at = choice.selectedIndex; arrive(); take(); } });
  const revert = button("Revert", () => { area.value = loaded; typed(); });
  const drop = button("Clear all rules", async () => { await send("DELETE", "scripts"); texts = []; area.value = loaded = ""; take(); tell("The workspace has no rules of its own"); typed(); refresh(); });

  function number(wrong: Set<number>): void {
    const total = Math.min(area.value.split("\n").length, 5000);
    show(lines, Array.from({ length: total }, (_, at) => h("div", { class: wrong.has(at + 1) ? "wrong" : undefined }, String(at + 1))));
    lines.scrollTop = area.scrollTop;
  }

  let timer = 0;
  function typed(): void {
    number(new Set());
    clearTimeout(timer);
    timer = window.setTimeout(() => void check(), 250);
  }
  async function check(): Promise<void> {
    const mine = ++asked;
    if (!area.value.trim()) return show(mistakes);
    const answer = await put<{ ok: boolean; rules: number; errors: Diagnostic[] }>("POST", "scripts/check", area.value);
    if (mine !== asked) return;
    number(new Set(answer.errors.map((mistake) => mistake.line)));
    load.disabled = !answer.ok;
    show(mistakes, answer.ok
      ? h("p", { class: "fine" }, `No mistake, ${count(answer.rules, "rule")}.`)
      : answer.errors.slice(0, 50).map((mistake) => h("div", { class: "mistake" },
          button(`${mistake.line}:${mistake.column}`, () => jump(mistake), { class: "link", "aria-label": `Go to line ${mistake.line}` }),
          h("span", {}, mistake.message, mistake.hint && h("span", { class: "hint" }, mistake.hint)))));
  }
  function jump(mistake: Diagnostic): void {
    const before = area.value.split("\n").slice(0, Math.max(0, mistake.line - 1)).reduce((sum, line) => sum + line.length + 1, 0);
    const at = before + Math.max(0, mistake.column - 1);
    area.focus();
    area.setSelectionRange(at, at + 1);
    area.scrollTop = Math.max(0, (mistake.line - 6) * 20);
  }
  area.addEventListener("input", typed);
  area.addEventListener("scroll", () => { lines.scrollTop = area.scrollTop; });
  area.addEventListener("keydown", (event) => {
    // Escape leaves the field, so that Tab is the way out for who needs it.
    if (event.key === "Escape") area.blur();
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) load.click();
  });

  // The editor is the workspace's that is looked at; a text that was typed and not loaded waits until one is back.
  function turnTo(next: string): void {
    if (next === of) return;
    // What was typed before there was any workspace is for the first.
    if (of === "") {
      of = next;
      return;
    }
    leave();
    of = next;
    at = 0;
    texts = [];
    arrive();
  }
  const place = (): string => `${of} ${at}`;
  function leave(): void {
    if (area.value !== loaded) drafts.set(place(), area.value);
    else drafts.delete(place());
  }
  function arrive(): void {
    loaded = "";
    area.value = drafts.get(place()) ?? "";
    typed();
  }

  // What the server has comes into the editor, unless something else was typed there.
  function take(): void {
    at = Math.min(at, Math.max(0, texts.length - 1));
    const labels = texts.map((text, number) => `Text ${number + 1} of ${texts.length}: ${(/\S.*/.exec(text)?.[0] ?? "").slice(0, 60)}`);
    // One that is open stays.
    if (labels.join("\n") !== listed) show(choice, labels.map((label) => h("option", {}, label)));
    listed = labels.join("\n");
    choice.selectedIndex = at;
    choice.hidden = texts.length < 2;
    const text = texts[at] ?? "";
    if (area.value === loaded && text !== loaded) {
      area.value = text;
      typed();
    }
    if (!area.value && !text) { area.placeholder = EXAMPLE; number(new Set()); }
    loaded = text;
  }

  const refresh = calmly(async () => {
    if (!workspace()) return show(rules, h("p", { class: "dim" }, "No workspace yet: send one request first."));
    turnTo(workspace());
    const answer = await get<{ data: Rule[]; sources: string[] }>("scripts");
    if (of !== workspace()) return;
    renew(rules, answer.data.length === 0 ? h("p", { class: "dim" }, "No rule is loaded: the tour answers the documents' prompts, and the direct model runs fenced code.") : answer.data.map((rule) => drawn(rule, folds)));
    texts = answer.sources;
    take();
  }, 400);

  const element = h("section", { class: "page wide", "aria-label": "Scripts" },
    h("h1", { class: "title" }, "Scripts"),
    h("p", { class: "lead" }, "Rules decide what the model says. The first that matches answers."),
    h("div", { class: "columns" },
      h("div", {}, h("h2", {}, "Rules"), rules),
      h("div", { class: "aside" }, h("h2", {}, "Edit"), choice,
        h("div", { class: "editor" }, lines, area), mistakes,
        h("div", { class: "actions" }, load, revert, button("Insert an example", () => { area.value = `${area.value}${area.value && !area.value.endsWith("\n") ? "\n" : ""}${EXAMPLE}`; typed(); }), drop))));
  return { element, route: refresh, heard: (kinds) => { if (kinds.has("request_ended")) refresh(); }, refresh };
}

function drawn(rule: Rule, folds: Folds): Child {
  const ran = rule.steps.filter((step) => step.ran).length;
  return folds.draw(`${rule.file}:${rule.line} ${rule.name}`, { class: "rule", open: rule.used > 0 },
    [
      h("span", { class: "grow" }, h("strong", {}, name(rule.name)), h("span", { class: "meta" }, ` ${rule.file}:${rule.line}${rule.layer === "base" ? " · by file" : ""}`)),
      h("span", { class: "meta" }, `${ran}/${rule.steps.length} steps`),
      h("span", { class: `chip ${rule.used > 0 ? "ok" : ""}` }, `${rule.used}${rule.times === undefined ? "" : ` of ${rule.times}`}×`),
    ],
    h("ol", { class: "steps" }, rule.steps.slice(0, 200).map((step) => h("li", { class: step.ran ? "ran" : "" },
      h("span", { class: "tick" }, step.ran ? "ran" : "not yet"), h("code", {}, step.step), h("span", { class: "meta" }, ` line ${step.line}`)))));
}
