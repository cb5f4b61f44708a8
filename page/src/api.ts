// Calls to `/_sandtable`, each for one workspace, and the stream of events.

const TOKEN = "sandtable.token";
const WORKSPACE = "sandtable.workspace";

export class CallError extends Error {
  constructor(readonly status: number, message: string, readonly hint: string) {
    super(hint ? `${message} (${hint})` : message);
  }
}

// Without percent-encoding, or as it stands where it is none.
export function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

// A token comes in the fragment, which no server and no referrer sees, and leaves the address at once.
export function takeToken(): void {
  const found = /[#&]token=([^&]*)/.exec(location.hash);
  if (!found) return;
  setToken(decoded(found[1] ?? ""));
  const rest = location.hash.replace(found[0].startsWith("#") ? found[0].slice(1) : found[0], "").replace(/^#&?/, "#");
  history.replaceState(null, "", location.pathname + location.search + (rest === "#" ? "" : rest));
}

export const setToken = (token: string): void => sessionStorage.setItem(TOKEN, token);

let current = sessionStorage.getItem(WORKSPACE) ?? "";
export const workspace = (): string => current;
export function setWorkspace(name: string): void {
  current = name;
  sessionStorage.setItem(WORKSPACE, name);
}

function address(path: string, every = false): string {
  const mark = path.includes("?") ? "&" : "?";
  const target = every ? "*" : current;
  return `/_sandtable/${path}${target ? `${mark}workspace=${encodeURIComponent(target)}` : ""}`;
}

function headers(): HeadersInit {
  const token = sessionStorage.getItem(TOKEN);
  return token ? { "x-sandtable-token": token } : {};
}

export async function send(method: string, path: string, body?: string, signal?: AbortSignal): Promise<Response> {
  const response = await fetch(address(path), {
    method,
    body: body ?? null,
    headers: headers(),
    signal: signal ?? null,
    cache: "no-store",
    credentials: "omit",
  }).catch((error: unknown) => {
    if (error instanceof DOMException) throw error;
    throw new CallError(0, "the server does not answer", "is it still running?");
  });
  if (response.ok) return response;
  const answer = (await response.json().catch(() => ({}))) as { error?: { message?: string; hint?: string } };
  throw new CallError(response.status, answer.error?.message ?? `the server answers ${response.status}`, answer.error?.hint ?? "");
}

export async function get<T>(path: string): Promise<T> {
  return (await (await send("GET", path)).json()) as T;
}

export async function put<T>(method: string, path: string, body: unknown): Promise<T> {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const answer = await (await send(method, path, text)).text();
  return (answer ? JSON.parse(answer) : null) as T;
}

// How far a frame is looked at: its kind is all that is needed, ten thousand times a second.
const KIND = /^event: (\w+)/;

export interface Listener {
  heard(kinds: Map<string, number>): void;
  state(live: boolean): void;
}

// Listens for ever, and begins again when the server does.
export async function listen(listener: Listener): Promise<never> {
  for (let failures = 0; ; ) {
    try {
      const response = await fetch(address("events", true), { headers: headers(), cache: "no-store", credentials: "omit" });
      if (response.ok && response.body) {
        failures = 0;
        listener.state(true);
        await read(response.body, listener);
      }
    } catch {
      // The server has gone, or never came.
    }
    listener.state(false);
    failures += 1;
    await new Promise((done) => setTimeout(done, Math.min(500 * 2 ** Math.min(failures, 4), 8000)));
  }
}

async function read(body: ReadableStream<Uint8Array>, listener: Listener): Promise<void> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    rest += decoder.decode(value, { stream: true });
    const frames = rest.split("\n\n");
    rest = frames.pop() ?? "";
    // No frame of ours is that long: a broken stream must not fill the memory.
    if (rest.length > 4_000_000) rest = "";
    const kinds = new Map<string, number>();
    for (const frame of frames) {
      const kind = KIND.exec(frame)?.[1];
      if (kind) kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    }
    if (kinds.size > 0) listener.heard(kinds);
  }
}
