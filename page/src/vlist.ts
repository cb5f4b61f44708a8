// A list of any length of which only what is seen is in the document.

import { h } from "./dom";

// Rows drawn above and below what is seen.
const SPARE = 6;

export interface Source<T> {
  length(): number;
  at(index: number): T | undefined;
  key(item: T): string;
  draw(item: T): Node[];
  classes(item: T): string;
  chosen(item: T): void;
  nearEnd(): void;
}

function keyAt(event: Event): string | undefined {
  return (event.target as Element).closest<HTMLElement>("[data-key]")?.dataset["key"];
}

export class VirtualList<T> {
  readonly element: HTMLElement;
  private readonly inner: HTMLElement;
  private active: string | null = null;
  // The row that the pointer went down on: until it comes up again, others may have taken its place, and a click has no
  // target then.
  private held: { key: string; y: number } | undefined;
  private frame = 0;

  constructor(label: string, private readonly rowHeight: number, private readonly source: Source<T>) {
    this.inner = h("div", { class: "vinner", role: "presentation" });
    this.element = h("div", { class: "vlist", role: "listbox", tabindex: 0, "aria-label": label }, this.inner);
    this.element.addEventListener("scroll", () => this.schedule(), { passive: true });
    this.element.addEventListener("keydown", (event) => this.pressed(event));
    this.element.addEventListener("pointerdown", (event) => {
      const key = event.button === 0 ? keyAt(event) : undefined;
      this.held = key === undefined ? undefined : { key, y: event.clientY };
    });
    this.element.addEventListener("pointerup", (event) => {
      const held = this.held;
      this.held = undefined;
      if (held && Math.abs(event.clientY - held.y) < this.rowHeight) this.chooseKey(held.key);
    });
    // Made without a pointer, as by a screen reader.
    this.element.addEventListener("click", (event) => {
      if (event.detail === 0) this.chooseKey(keyAt(event));
    });
    new ResizeObserver(() => this.schedule()).observe(this.element);
  }

  // Rows were put before the first: what is looked at stays where it is.
  changed(added: number): void {
    if (added > 0 && this.element.scrollTop > this.rowHeight / 2) {
      this.inner.style.height = `${this.source.length() * this.rowHeight}px`;
      this.element.scrollTop += added * this.rowHeight;
    }
    this.schedule();
  }

  mark(key: string | null): void {
    this.active = key;
    this.schedule();
  }

  private chooseKey(key: string | undefined): void {
    const item = key === undefined ? undefined : this.source.at(this.indexOf(key));
    if (item) this.choose(item);
  }

  // -1 if there is none.
  private indexOf(key: string | null): number {
    const total = key === null ? 0 : this.source.length();
    for (let index = 0; index < total; index += 1) {
      const item = this.source.at(index);
      if (item && this.source.key(item) === key) return index;
    }
    return -1;
  }

  private choose(item: T): void {
    this.mark(this.source.key(item));
    this.source.chosen(item);
  }

  private schedule(): void {
    if (!this.frame) this.frame = requestAnimationFrame(() => this.draw());
  }

  private draw(): void {
    this.frame = 0;
    const total = this.source.length();
    this.inner.style.height = `${total * this.rowHeight}px`;
    const first = Math.max(0, Math.floor(this.element.scrollTop / this.rowHeight) - SPARE);
    const seen = Math.ceil(this.element.clientHeight / this.rowHeight) + 2 * SPARE;
    const last = Math.min(total, first + seen);
    const rows: HTMLElement[] = [];
    let activeId = "";
    for (let index = first; index < last; index += 1) {
      const item = this.source.at(index);
      if (!item) continue;
      const isActive = this.source.key(item) === this.active;
      const id = `row-${this.source.key(item)}`;
      if (isActive) activeId = id;
      const row = h("div", {
        role: "option", id, class: `vrow ${this.source.classes(item)}`, "data-key": this.source.key(item),
        "aria-selected": String(isActive), "aria-setsize": total, "aria-posinset": index + 1,
      }, this.source.draw(item));
      row.style.transform = `translateY(${index * this.rowHeight}px)`;
      rows.push(row);
    }
    this.inner.replaceChildren(...rows);
    if (activeId) this.element.setAttribute("aria-activedescendant", activeId);
    else this.element.removeAttribute("aria-activedescendant");
    if (total > 0 && last >= total - SPARE) this.source.nearEnd();
  }

  private pressed(event: KeyboardEvent): void {
    const page = Math.max(1, Math.floor(this.element.clientHeight / this.rowHeight) - 1);
    const steps: Record<string, number> = {
      ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity,
    };
    const step = steps[event.key];
    if (step === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.move(step);
  }

  move(step: number): void {
    const total = this.source.length();
    if (total === 0) return;
    const now = this.indexOf(this.active);
    const next = Math.min(total - 1, Math.max(0, now < 0 && step !== Infinity ? 0 : now + step));
    const top = next * this.rowHeight;
    const box = this.element;
    if (top < box.scrollTop) box.scrollTop = top;
    else if (top + this.rowHeight > box.scrollTop + box.clientHeight) box.scrollTop = top + this.rowHeight - box.clientHeight;
    const item = this.source.at(next);
    if (item) this.choose(item);
  }
}
