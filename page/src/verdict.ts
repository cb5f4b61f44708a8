// The panel of the verdict: what is wrong with the run so far.

import { get, workspace } from "./api";
import { Folds, h, name, renew, show, type Child } from "./dom";
import { count, usd } from "./format";
import { calmly, type Panel } from "./panel";
import { isObj, str, type Json, type Obj, type Usage, type Verdict } from "./types";

// The lists of findings are drawn alike, whatever they hold.
type Lists = { [List in keyof Verdict]-?: Verdict[List] extends unknown[] ? List : never }[keyof Verdict];

const LISTS: [Lists, string, string][] = [
  ["unmatched", "Unmatched turns", "No rule answered them."],
  ["failed", "Failed turns", "A rule matched and could not go on."],
  ["unused_steps", "Unused steps", "Nothing asked for them."],
  ["unused_faults", "Unused faults", "They never fired, or not often enough."],
  ["unused_recordings", "Unused recordings", "Nothing asked for them."],
  ["duplicated", "Made twice", "An answer was lost, and the work was done again."],
  ["lints", "Lints", "Mistakes that the real service punishes silently. Only errors make the verdict bad."],
  ["faults", "Met by faults", "What the client did about each; no finding by itself."],
];

const MAX_SHOWN = 100;

export function verdict(): Panel {
  const place = h("div", {});
  const folds = new Folds();
  const element = h("section", { class: "page", "aria-label": "Verdict" }, h("h1", { class: "title" }, "Verdict"), place);
  const refresh = calmly(async () => {
    if (!workspace()) return show(place, h("p", { class: "dim" }, "No workspace yet."));
    const [found, usage] = await Promise.all([get<Verdict>("verify"), get<Usage>("usage")]);
    renew(place,
      h("div", { class: `verdict ${found.ok ? "ok" : "bad"}`, role: "status" },
        h("strong", {}, found.ok ? "All is well" : "Not ok"),
        h("span", {}, `${count(found.requests.answered, "request")} answered, ${found.requests.refused.toLocaleString("en")} refused · ${usd(usage.usd)} in ${usage.month}, had it been real`)),
      LISTS.map(([key, title, what]) => section(folds, title, what, found[key] as unknown as Json[], found.dropped[key] ?? 0)));
  }, 500);
  return { element, route: refresh, heard: () => refresh(), refresh };
}

function section(folds: Folds, title: string, what: string, value: Json[], dropped: number): Child {
  const findings = value.filter(isObj);
  if (findings.length === 0) return null;
  return folds.draw(title, { class: "findings", open: true },
    [h("strong", {}, title), h("span", { class: "chip" }, String(findings.length + dropped)), h("span", { class: "meta" }, what)],
    h("ul", {}, findings.slice(0, MAX_SHOWN).map((finding) => h("li", {}, drawn(finding)))),
    findings.length > MAX_SHOWN && h("p", { class: "dim" }, `${findings.length - MAX_SHOWN} more.`));
}

function link(id: Json | undefined): Child {
  const text = str(id);
  return text && h("a", { href: `#/requests/${encodeURIComponent(text)}` }, h("code", {}, text));
}

function drawn(finding: Obj): Child {
  const { code, level, message, hint, request_id, rule, file, line, step, why, fault, outcome, attempts, request, recording } = finding;
  const tries = Array.isArray(attempts) ? attempts.filter(isObj) : [];
  return [
    h("p", {},
      level && h("span", { class: `chip ${level === "error" ? "bad" : "warn"}` }, str(level)), level && " ",
      code && h("strong", {}, str(code)), code && " ",
      rule && [h("a", { href: "#/scripts" }, name(str(rule))), step && [" · ", h("code", {}, str(step))], h("span", { class: "meta" }, ` ${str(file)}:${String(line)} · ${typeof why === "string" ? why.replaceAll("_", " ") : JSON.stringify(why)}`)],
      recording && [name(str(recording)), " "],
      request && h("code", {}, str(request)), outcome && h("span", { class: "meta" }, ` · ${str(outcome).replaceAll("_", " ")}`),
      isObj(fault) && h("code", {}, JSON.stringify(fault)),
      message && h("span", {}, str(message).split("\n")[0]?.slice(0, 400) ?? "")),
    hint && h("p", { class: "hint" }, str(hint)),
    request_id && h("p", { class: "meta" }, link(request_id)),
    tries.length > 0 && h("p", { class: "meta" }, tries.slice(0, 10).map((attempt, at) => [at > 0 && ", then ", `${String(attempt["status"] ?? "no answer")} `, link(attempt["request_id"])])),
  ];
}
