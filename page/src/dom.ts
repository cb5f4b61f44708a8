// Elements without markup: text is always text, whatever is in it.

export type Child = Node | string | number | null | undefined | false | Child[];
type Attrs = Record<string, unknown>;

const SVG = "http://www.w3.org/2000/svg";

function fill(element: Element, attrs: Attrs, children: Child[]): void {
  for (const [name, value] of Object.entries(attrs)) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function" && name.startsWith("on")) {
      element.addEventListener(name.slice(2), value as EventListener);
    } else if (name === "value" && "value" in element) {
      (element as HTMLInputElement).value = String(value);
    } else {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  add(element, children);
}

export function add(element: Element, children: Child[]): void {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    if (Array.isArray(child)) add(element, child);
    else element.append(child instanceof Node ? child : String(child));
  }
}

export function h<K extends keyof HTMLElementTagNameMap>(
  name: K,
  attrs: Attrs = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(name);
  fill(element, attrs, children);
  return element;
}

export function svg(name: string, attrs: Attrs = {}, ...children: Child[]): SVGElement {
  const element = document.createElementNS(SVG, name);
  fill(element, attrs, children);
  return element;
}

export function show(place: Element, ...children: Child[]): void {
  place.replaceChildren();
  add(place, children);
}

// Where the pointer is down: until it comes up, what is below it must stay, or the click has no target.
let pressed: Node | null = null;
const held = new Map<Element, Child[]>();
addEventListener("pointerdown", (event) => { pressed = event.target as Node; }, true);
for (const end of ["pointerup", "pointercancel", "dragend"]) {
  addEventListener(end, () => setTimeout(() => {
    pressed = null;
    const waiting = [...held];
    held.clear();
    for (const [place, children] of waiting) renew(place, ...children);
  }), true);
}

const keyOf = (element: Element | null): string | null => element?.getAttribute("href") ?? element?.getAttribute("data-key") ?? null;

// Draws a place anew because of what was heard, not because the reader asked: a click that is under way and the
// keyboard's place stay. What can be reached with keys is known again by its address or `data-key`.
export function renew(place: Element, ...children: Child[]): void {
  if (pressed && place.contains(pressed)) {
    held.set(place, children);
    return;
  }
  held.delete(place);
  const focused = place.contains(document.activeElement) ? keyOf(document.activeElement) : null;
  show(place, ...children);
  if (focused === null) return;
  const again = [...place.querySelectorAll<HTMLElement>("[href], [data-key]")].find((element) => keyOf(element) === focused);
  again?.focus({ preventScroll: true });
}

// Parts that open and close, and stay as the reader left them when they are drawn anew.
export class Folds {
  private readonly left = new Map<string, boolean>();

  draw(key: string, attrs: Attrs & { open: boolean }, summary: Child, ...children: Child[]): HTMLElement {
    const open = this.left.get(key) ?? attrs.open;
    const part: HTMLDetailsElement = h("details", { ...attrs, open },
      h("summary", { "data-key": key, onclick: () => this.left.set(key, !part.open) }, summary), ...children);
    return part;
  }
}

// Characters that hide, or turn the direction of what follows, become visible.
const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g;

// A name that somebody else chose: isolated from the text around it, on one line.
export function name(text: string): HTMLElement {
  const clean = text.replace(HIDDEN, (c) => `\u27e8U+${c.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}\u27e9`);
  return h("bdi", { class: "name", title: clean.slice(0, 400) }, clean.length > 200 ? `${clean.slice(0, 200)}…` : clean);
}

export function button(text: Child, onclick: () => unknown, attrs: Attrs = {}): HTMLButtonElement {
  return h("button", { type: "button", ...attrs, onclick: () => void run(onclick) }, text);
}

// What a failed action says, in the note at the bottom.
async function run(action: () => unknown): Promise<void> {
  try {
    await action();
  } catch (error) {
    tell(error instanceof Error ? error.message : String(error), "bad");
  }
}

let timer = 0;

export function tell(text: string, kind: "ok" | "bad" = "ok"): void {
  const place = document.getElementById("note");
  if (!place) return;
  place.textContent = text;
  place.dataset.kind = kind;
  place.classList.add("shown");
  clearTimeout(timer);
  timer = window.setTimeout(() => place.classList.remove("shown"), kind === "bad" ? 9000 : 3500);
}

export function copy(text: string, what: string): Promise<void> {
  if (navigator.clipboard) {
    return navigator.clipboard.writeText(text).then(() => tell(`${what} copied`), () => offer(text, what));
  }
  offer(text, what);
  return Promise.resolve();
}

// Where the clipboard is not to be had: the text, selected.
function offer(text: string, what: string): void {
  const area = h("textarea", { rows: 12, readonly: true, "aria-label": what, value: text });
  const dialog = h("dialog", { "aria-label": what }, h("h2", {}, what), area, h("form", { method: "dialog" }, h("button", {}, "Close")));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  area.select();
}

export function download(bytes: Blob, filename: string): void {
  const url = URL.createObjectURL(bytes);
  const safe = filename.replace(/[\u0000-\u001f\u200b-\u200f\u202a-\u202e\u2060-\u2069/\\:]/g, "_").slice(-180) || "file";
  const link = h("a", { href: url, download: safe });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
