// What every panel can do, and how one gets there.

export interface Panel {
  element: HTMLElement;
  // Opened, with what stands behind its name in the address.
  route(rest: string): void;
  // Events came, counted by their kind.
  heard(kinds: Map<string, number>): void;
  // Another workspace was chosen, or the server is back.
  refresh(): void;
  // A key was pressed outside of a field; whether it meant something here.
  key?(key: string): boolean;
}

export function go(path: string): void {
  location.hash = `#/${path}`;
}

// Calls at most once in `pause` milliseconds, and after the last time it was asked to.
export function calmly(work: () => Promise<unknown>, pause: number): () => void {
  let waiting = false;
  let again = false;
  const begin = (): void => {
    if (waiting) {
      again = true;
      return;
    }
    waiting = true;
    void work().catch(() => undefined).finally(() => setTimeout(() => {
      waiting = false;
      if (again) {
        again = false;
        begin();
      }
    }, pause));
  };
  return begin;
}
