// The page's frame: which panel is open, which workspace is looked at, and what the keys do.

import { CallError, decoded, get, listen, setToken, setWorkspace, takeToken, workspace } from "./api";
import { clock, face, readClock } from "./clock";
import { containers } from "./containers";
import { add, button, h, show } from "./dom";
import { faults } from "./faults";
import { calmly, go, type Panel } from "./panel";
import { requests } from "./requests";
import { scripts } from "./scripts";
import type { WorkspaceState } from "./types";
import { verdict } from "./verdict";

const PANELS: [string, string, () => Panel][] = [
  ["requests", "Requests", requests],
  ["containers", "Containers", containers],
  ["scripts", "Scripts", scripts],
  ["faults", "Faults", faults],
  ["clock", "Clock", clock],
  ["verdict", "Verdict", verdict],
];

const main = document.getElementById("main") as HTMLElement;
const nav = document.getElementById("nav") as HTMLElement;
const tools = document.getElementById("tools") as HTMLElement;
const made = new Map<string, Panel>();
let shown: Panel | null = null;

const tabs = PANELS.map(([path, label], at) => h("a", { href: `#/${path}`, title: `${label} (${at + 1})` }, label));
add(nav, tabs);

function route(): void {
  const [path = "", ...rest] = location.hash.replace(/^#\/?/, "").split("/");
  const at = Math.max(0, PANELS.findIndex(([name]) => name === path));
  const [name, label, make] = PANELS[at] as (typeof PANELS)[number];
  let panel = made.get(name);
  if (!panel) made.set(name, (panel = make()));
  if (panel !== shown) {
    show(main, panel.element);
    shown = panel;
    document.title = `${label} · sandtable`;
    tabs.forEach((tab, index) => (index === at ? tab.setAttribute("aria-current", "page") : tab.removeAttribute("aria-current")));
    tabs[at]?.scrollIntoView({ block: "nearest", inline: "nearest" });
    panel.refresh();
  }
  panel.route(decoded(rest.join("/")));
}

const select = h("select", { "aria-label": "Workspace", class: "workspaces", onchange: () => { setWorkspace(select.value); everything(); } });
const live = h("span", { class: "live", role: "status" }, "connecting");

let known = "";
const workspaces = calmly(async () => {
  const { data } = await get<{ data: WorkspaceState[] }>("workspaces");
  const text = JSON.stringify(data.map(({ name, label }) => [name, label]));
  const fresh = text !== known;
  if (fresh) {
    known = text;
    if (!data.some(({ name }) => name === workspace())) setWorkspace(data.at(0)?.name ?? "");
    show(select, data.map(({ name, label, key }) => h("option", { value: name }, label ?? (key ? `key ${key}` : name.slice(0, 16)))));
    select.value = workspace();
    select.hidden = data.length === 0;
    everything();
  }
}, 500);

function everything(): void {
  readClock();
  shown?.refresh();
  for (const panel of made.values()) if (panel !== shown) panel.refresh();
}

let heardLately = 0;
setInterval(() => {
  if (live.dataset["state"] === "on") live.textContent = heardLately > 0 ? `live · ${heardLately.toLocaleString("en")}/s` : "live";
  heardLately = 0;
}, 1000);

const connected = {
  heard(kinds: Map<string, number>): void {
    for (const number of kinds.values()) heardLately += number;
    if (kinds.has("request_begun") || kinds.has("request_ended")) workspaces();
    if (kinds.has("clock_moved")) readClock();
    if (kinds.has("setup_changed")) everything();
    for (const panel of made.values()) panel.heard(kinds);
  },
  state(on: boolean): void {
    live.dataset["state"] = on ? "on" : "off";
    live.textContent = on ? "live" : "offline";
    if (on) {
      known = "";
      workspaces();
    }
  },
};

// Where the server wants a token, and the address brought none. The form stays until one is right: an answer
// to the token before must not take away what is being typed.
function askToken(): void {
  const field = h("input", { type: "password", id: "token", autocomplete: "off", required: true, "aria-describedby": "refused" });
  const refused = h("p", { id: "refused", role: "alert" });
  const open = h("button", { class: "primary" }, "Open");
  const attempt = async (): Promise<void> => {
    const token = field.value;
    setToken(token);
    open.disabled = true;
    refused.textContent = "";
    if (await admitted()) return;
    open.disabled = false;
    refused.textContent = "The server does not take this token.";
    if (field.value === token) field.select();
  };
  const form = h("form", { class: "token", onsubmit: (event: Event) => { event.preventDefault(); void attempt(); } },
    h("h1", {}, "Control token"),
    h("p", {}, "This server was started with ", h("code", {}, "--control-token"), ". The token stays in this tab."),
    h("label", { for: "token" }, "Token"), field, open, refused);
  show(main, form);
  field.focus();
}

const KEYS: [string, string][] = [
  ["1 – 6", "open a panel"], ["j / k, ↓ / ↑", "next, previous request"], ["/", "filter"], ["Esc", "close what is open"], ["t", "light or dark"], ["?", "this list"],
];

function help(): void {
  const dialog = h("dialog", { "aria-label": "Keys" }, h("h2", {}, "Keys"), h("dl", { class: "keys" }, KEYS.map(([key, what]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, what)])), h("form", { method: "dialog" }, h("button", {}, "Close")));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

function theme(next?: string | null): void {
  const root = document.documentElement;
  const now = next ?? (isDark() ? "light" : "dark");
  root.dataset["theme"] = now;
  localStorage.setItem("sandtable.theme", now);
}

const isDark = (): boolean => (document.documentElement.dataset["theme"] ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";

addEventListener("keydown", (event) => {
  const target = event.target as HTMLElement;
  const typing = target.matches("input, textarea, select") || target.closest("dialog") !== null;
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (typing) {
    if (event.key === "Escape" && !target.closest("dialog")) target.blur();
    return;
  }
  const number = Number(event.key);
  const at = PANELS[number - 1];
  if (at) go(at[0]);
  else if (event.key === "?") help();
  else if (event.key === "t") theme();
  else if (!shown?.key?.(event.key)) return;
  event.preventDefault();
});

let listening = false;

// Opens the page unless the server wants another token.
async function admitted(): Promise<boolean> {
  try {
    await get("workspaces");
  } catch (error) {
    if (error instanceof CallError && error.status === 401) return false;
  }
  shown = null;
  route();
  if (!listening) void listen(connected);
  listening = true;
  return true;
}

async function begin(): Promise<void> {
  if (!(await admitted())) askToken();
}

takeToken();
const kept = localStorage.getItem("sandtable.theme");
if (kept) theme(kept);
add(tools, [live, select, face(), button("◐", () => theme(), { class: "icon", "aria-label": "Light or dark", title: "Light or dark (t)" }), button("?", help, { class: "icon", "aria-label": "Keys", title: "Keys (?)" })]);
select.hidden = true;
addEventListener("hashchange", () => { if (location.hash.includes("token=")) { takeToken(); void begin(); } else route(); });
void begin();
