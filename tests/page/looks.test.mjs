// Every panel in light, dark, and at 400 px: no finding of axe, nothing that runs out of the window, and a picture to
// look at (in SANDTABLE_PAGE_SHOTS, or target/page).
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { accessible, bash, close, open, serve, shot } from "./harness.mjs";

const CHART = `import csv, os
import matplotlib; matplotlib.use("Agg")
import matplotlib.pyplot as plt
months, sales = ["Jan", "Feb", "Mar", "Apr", "May", "Jun"], [12, 19, 15, 27, 31, 38]
plt.figure(figsize=(5, 2.4)); plt.bar(months, sales, color="#b5703c")
plt.title("Sales by month"); plt.tight_layout()
out = os.environ["OUTPUT_DIR"]
plt.savefig(out + "/sales.png")
with open(out + "/sales.csv", "w") as f:
    rows = [[m, s, f"{s / sum(sales):.0%}"] for m, s in zip(months, sales)]
    csv.writer(f).writerows([["month", "sales", "share"], *rows])
print("total", sum(sales))`;

const RULES = `- name: chart
  when: { user: { contains: chart }, tools: code_execution }
  then:
    - text: I'll draw it.
    - bash: |
        python3 - <<'PY'
${CHART.split("\n").map((line) => `        ${line}`).join("\n")}
        PY
    - text: "Done: \${{ last.stdout | trim }}."
- name: revenue by region
  when: { user: { contains: revenue }, tools: code_execution }
  then:
    - thinking: The file has a column for the region.
    - bash: head -3 sales.csv
    - text: The first lines are above.
`;

const PAGES = ["requests", "turn", "answer", "stream", "miss", "fault", "containers", "scripts", "faults", "clock", "verdict"];
const LOOKS = [
  ["light", { width: 1360, height: 860 }],
  ["dark", { width: 1360, height: 860 }],
  ["narrow", { width: 400, height: 800 }],
  ["narrow-dark", { width: 400, height: 800 }],
];

let server;
const routes = {};
before(async () => {
  server = await serve();
  await server.ask(bash("uname -sr; echo careful >&2; exit 3"));
  await server.control("PUT", "scripts", RULES);
  await server.ask("Draw a chart of our sales by month, please.", { stream: true, system: "You are an analyst." });
  await server.ask("Who is on call tonight?");
  await server.control("POST", "faults", { at: "stream", after_events: 5, type: "overloaded_error" });
  await server.ask("The chart again", { stream: true });
  await server.control("POST", "faults", { at: "tool", error_code: "container_expired", nth: 2 });
  const drawn = await server.ask("A chart for the board");
  await server.ask(undefined, { messages: [{ role: "user", content: "A chart for the board" }, { role: "assistant", content: drawn.content }, { role: "user", content: "And the same chart in colour?" }], container: drawn.container.id });
  await server.call("GET", "/v1/models?limit=3");
  await server.call("GET", "/v1/files/file_missing");
  const containers = (await server.control("GET", "containers")).data;
  await server.control("POST", `containers/${containers.at(-1).id}/sleep`);
  const rows = (await server.control("GET", "page/timeline")).data;
  const open = (text) => `#/requests/${rows.find((row) => row.said?.includes(text)).id}`;
  Object.assign(routes, {
    requests: "#/requests", turn: open("by month"), answer: open("by month"), stream: open("by month"), miss: open("on call"), fault: open("chart again"),
    containers: `#/containers/${containers[0].id}`, scripts: "#/scripts", faults: "#/faults", clock: "#/clock", verdict: "#/verdict",
  });
});
after(async () => {
  await close();
  await server.stop();
});

// What tells that a panel has drawn all that it draws.
const READY = {
  requests: ".vrow", turn: ".detail .picture", answer: ".detail .picture", stream: ".axis rect", miss: ".clause", fault: ".callout.warn",
  containers: ".detail h3", scripts: ".rule", faults: ".fault", clock: ".bigclock", verdict: ".findings",
};

for (const [look, viewport] of LOOKS) {
  test(`every panel is accessible and fits: ${look}`, async () => {
    const page = await open(server.url, { viewport, colorScheme: look.endsWith("dark") ? "dark" : "light" });
    for (const name of PAGES) {
      await page.goto(`${server.url}/_sandtable/${routes[name]}`);
      await page.locator(READY[name]).first().waitFor();
      await page.locator('.live[data-state="on"]').waitFor();
      await page.waitForFunction(() => !document.body.innerText.includes("Reading…"));
      const file = page.locator(".detail .file").filter({ hasText: "sales.png" }).first();
      if (name === "containers" && (await file.count()) > 0) {
        await file.getByRole("button", { name: "Preview" }).click();
        await file.locator(".picture").waitFor();
      }
      if (name === "answer") await page.locator(".detail .picture").scrollIntoViewIfNeeded();
      if (name === "stream") await page.locator(".axis").evaluate((axis) => axis.scrollIntoView({ block: "center" }));
      await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
      await shot(page, `${name}-${look}`);
      // These two are further down on the page before.
      if (name !== "answer" && name !== "stream") await accessible(page, `${name}, ${look}`);
      const width = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(width <= viewport.width, `${name}, ${look}: ${width} px wide`);
    }
    assert.deepEqual(page.wrong, []);
  });
}
