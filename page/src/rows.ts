// The timeline's rows: bounded, growing at the new end while the server works, at the old end on demand.

import { get, workspace } from "./api";
import type { Row } from "./types";

// Beyond this the oldest rows go.
export const MAX_ROWS = 100_000;
const PAGE_ROWS = 500;
// Pages that one look at a busy server fetches; the rest comes with the next.
const PAGES_A_LOOK = 8;
// How often a busy server is looked at.
const PAUSE_MS = 250;

export class Rows {
  // Oldest first.
  all: Row[] = [];
  // The workspace they are of; at first of none, not even of one without a name.
  private of: string | null = null;
  private begun = false;
  private running = false;
  private dirty = false;
  private ended = false;

  constructor(private readonly changed: (added: number) => void) {}

  // Something happened: looks at once, or when the look under way is over.
  touch(): void {
    this.dirty = true;
    if (!this.running) void this.run();
  }

  private async run(): Promise<void> {
    this.running = true;
    while (this.dirty) {
      this.dirty = false;
      try {
        await this.look();
      } catch {
        // The next event, or the stream's return, brings it again.
      }
      await new Promise((done) => setTimeout(done, PAUSE_MS));
    }
    this.running = false;
  }

  private async look(): Promise<void> {
    const asked = workspace();
    if (asked !== this.of) {
      this.all = [];
      this.begun = this.ended = false;
      this.of = asked;
      this.changed(0);
    }
    if (!asked) return;
    for (let page = 0; page < PAGES_A_LOOK; page += 1) {
      const last = this.all.at(-1)?.n;
      const where = !this.begun || last === undefined ? "" : `&after=${last}`;
      const answer = await get<{ data: Row[]; kept: number }>(`page/timeline?limit=${PAGE_ROWS}${where}`);
      if (workspace() !== asked) return this.touch();
      if (answer.kept === 0 && this.all.length > 0) {
        this.all = [];
        this.changed(0);
      }
      this.begun = true;
      if (!where) {
        this.ended = answer.data.length < PAGE_ROWS;
        this.all = answer.data.reverse();
      } else {
        this.all.push(...answer.data);
      }
      if (this.all.length > MAX_ROWS) this.all = this.all.slice(-MAX_ROWS);
      if (answer.data.length > 0) this.changed(where ? answer.data.length : 0);
      if (!where || answer.data.length < PAGE_ROWS) return;
    }
    this.dirty = true;
  }

  private fetching = false;

  // The page before the oldest row.
  async older(): Promise<void> {
    const first = this.all[0]?.n;
    if (this.fetching || this.ended || first === undefined || this.all.length >= MAX_ROWS) return;
    this.fetching = true;
    try {
      const asked = this.of;
      const answer = await get<{ data: Row[] }>(`page/timeline?limit=${PAGE_ROWS}&before=${first}`);
      if (asked !== workspace() || this.all[0]?.n !== first) return;
      this.ended = answer.data.length < PAGE_ROWS;
      this.all = [...answer.data.reverse(), ...this.all];
      this.changed(0);
    } finally {
      this.fetching = false;
    }
  }
}
