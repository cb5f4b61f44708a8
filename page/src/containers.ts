// The panel of containers: their state on the workspace's clock, and their files.

import { CallError, get, put, send, workspace } from "./api";
import { now } from "./clock";
import { button, h, name, renew, show, tell, type Child } from "./dom";
import { moment, size, span } from "./format";
import { calmly, go, type Panel } from "./panel";
import type { Container, ContainerFile, ContainerFiles } from "./types";
import { file } from "./viewer";

const MAX_SHOWN = 300;

export function containers(): Panel {
  let all: Container[] = [];
  let open: string | null = null;
  // What is shown of the one that is open, and where.
  let shown: Container | undefined;
  const head = h("div", {});
  const files = h("div", {});
  const listing = h("div", { class: "cards" });
  const detail = h("div", { class: "detail" });
  const element = h("div", { class: "split" },
    h("section", { class: "master scroll", "aria-label": "Containers" }, h("h1", { class: "title" }, "Containers"), listing),
    detail);

  const refresh = calmly(async () => {
    if (!workspace()) return draw();
    all = (await get<{ data: Container[] }>("containers")).data;
    draw();
    follow();
  }, 300);

  function draw(): void {
    renew(listing, all.length === 0 ? h("p", { class: "blank dim" }, "No container yet. The first call that runs code makes one.") : all.map(card));
  }

  function card(container: Container): HTMLElement {
    const chosen = container.id === open;
    const whole = Date.parse(container.expires_at) - Date.parse(container.last_used_at);
    const age = now() - Date.parse(container.created_at);
    const left = Date.parse(container.expires_at) - now();
    const meter = h("meter", { min: 0, max: 1, value: container.state === "expired" ? 0 : Math.min(1, Math.max(0, left / whole)), "aria-label": "Time left before it expires" });
    return h("a", { class: `card ${chosen ? "chosen" : ""}`, href: `#/containers/${container.id}`, "aria-current": chosen ? "true" : null },
      h("div", { class: "line" }, h("code", { class: "grow" }, container.id), h("span", { class: `chip s-${container.state}` }, container.state)),
      h("div", { class: "line meta" },
        h("span", { class: "grow" }, `${span(age)} old`),
        container.pending ? h("span", { class: "chip warn" }, "pending calls") : null,
        h("span", {}, container.state === "expired" ? "over" : `expires in ${span(left)}`)),
      meter);
  }

  async function detailOf(id: string): Promise<void> {
    // Another was opened while the answer was under way.
    if (open !== id) return;
    const container = shown = all.find((one) => one.id === id);
    if (!container) return show(detail, back(), h("p", { class: "blank dim" }, "No such container in this workspace."));
    show(head, headOf(container));
    show(detail, back(), head, h("h3", {}, "Files"), files);
    await list(files, id, false);
  }

  function headOf(container: Container): Child {
    const { id, state } = container;
    const act = (verb: string) => async () => {
      await put("POST", `containers/${id}/${verb}`, "");
      tell(verb === "sleep" ? "Asleep: its processes ended, its files stay" : "Expired");
      refresh();
      setTimeout(() => void detailOf(id), 350);
    };
    const row = (label: string, value: Child): Child => h("div", {}, h("dt", {}, label), h("dd", {}, value));
    return [
      h("header", { class: "turnhead" },
        h("h2", {}, h("code", {}, id), " ", h("span", { class: `chip s-${state}` }, state)),
        h("div", { class: "actions" },
          button("Sleep", act("sleep"), { disabled: state !== "awake", "data-key": "sleep" }),
          button("Expire", act("expire"), { disabled: state === "expired", class: "danger", "data-key": "expire" }))),
      h("dl", { class: "facts" },
        row("Created", moment(container.created_at)), row("Last used", moment(container.last_used_at)),
        row("Expires", moment(container.expires_at)), row("Ends at the latest", moment(container.ends_at)),
        container.pending ? row("Pending calls", "its code waits for the client's tools") : null),
    ];
  }

  // What has become of the one that is open meanwhile. Files that were read stay, until there are none.
  function follow(): void {
    const next = all.find((one) => one.id === open);
    if (!shown || !next || shown.id !== next.id || JSON.stringify(shown) === JSON.stringify(next)) return;
    const ends = next.state === "expired" && shown.state !== "expired";
    shown = next;
    renew(head, headOf(next));
    if (ends) void list(files, next.id, false);
  }

  async function list(place: HTMLElement, id: string, wake: boolean): Promise<void> {
    show(place, h("p", { class: "dim" }, "Reading…"));
    try {
      const answer = await get<ContainerFiles>(`containers/${id}/files?limit=2000${wake ? "&wake=true" : ""}`);
      show(place, drawFiles(answer.data, answer.more));
    } catch (error) {
      const asleep = error instanceof CallError && error.status === 409;
      const unknown = error instanceof CallError && /no control call/.test(error.message);
      const text = asleep ? "Asleep: its files can be read once it is awake." : unknown ? "This server does not list the files of containers." : error instanceof Error ? error.message : String(error);
      show(place, h("p", { class: "dim" }, text), asleep && button("Wake it and read", () => list(place, id, true)));
    }
  }

  return {
    element,
    route: (rest) => {
      open = rest || null;
      shown = undefined;
      element.classList.toggle("opened", open !== null);
      draw();
      if (!open) return show(detail, h("div", { class: "blank" }, h("p", {}, "Choose a container to see its files.")));
      const id = open;
      void get<{ data: Container[] }>("containers").then((answer) => { all = answer.data; draw(); return detailOf(id); }, (error: unknown) => show(detail, h("p", { class: "blank" }, String(error))));
    },
    heard: (kinds) => { if ([...kinds.keys()].some((kind) => /^container_|clock_moved|request_ended/.test(kind))) refresh(); },
    refresh,
    key: (key) => key === "Escape" && (go("containers"), true),
  };
}

const back = (): HTMLElement => h("a", { class: "back", href: "#/containers" }, "‹ Containers");

function drawFiles(entries: ContainerFile[], more: boolean): Child {
  const files = entries.filter((entry) => entry.kind !== "directory");
  if (files.length === 0) return h("p", { class: "dim" }, "No files.");
  return [
    files.slice(0, MAX_SHOWN).map((entry) => {
      const detail = [entry.kind === "symlink" ? `link to ${(entry.target ?? "").slice(0, 100)}` : size(entry.size_bytes), entry.modified_at && moment(entry.modified_at)].filter(Boolean).join(" · ");
      // The address is the server's own, below ours; anything else is not followed.
      const path = entry.href?.startsWith("/_sandtable/") ? entry.href.slice("/_sandtable/".length) : null;
      if (path === null) return h("div", { class: "file" }, h("div", { class: "filehead" }, name(entry.path), h("span", { class: "dim" }, detail)));
      return file(entry.path, detail, () => send("GET", path));
    }),
    (more || files.length > MAX_SHOWN) && h("p", { class: "dim" }, `The first ${Math.min(files.length, MAX_SHOWN)} files.`),
  ];
}
