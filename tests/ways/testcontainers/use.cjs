// The Testcontainers module for Node, as a test of a user uses it.
"use strict";

const assert = require("node:assert/strict");
const { SandtableContainer } = require("sandtable/testcontainers");

async function ask(workspace, prompt) {
  const answer = await fetch(`${workspace.baseUrl}/v1/messages`, {
    method: "POST",
    headers: { "x-api-key": workspace.apiKey, "anthropic-version": "2023-06-01", "content-type": "application/json" },
    body: JSON.stringify({ model: "claude-opus-4-6", max_tokens: 64, messages: [{ role: "user", content: prompt }] }),
  });
  return { status: answer.status, body: await answer.json() };
}

async function main() {
  const esm = await import("sandtable/testcontainers");
  assert.equal(esm.SandtableContainer, SandtableContainer);
  const container = await new SandtableContainer("sandtable:slim").withControlToken("secret").start();
  try {
    const workspace = container.workspace();
    const before = await workspace.clock.now();
    const after = await workspace.clock.advance("30d");
    assert.ok(after - before >= 30 * 86_400_000);
    await workspace.scripts.put("- then: [{ text: Hello. }]");
    await workspace.faults.overloaded({ times: 1 });
    assert.equal((await ask(workspace, "hello")).status, 529);
    assert.equal((await ask(workspace, "hello")).body.content[0].text, "Hello.");
    const open = await fetch(`${container.baseUrl}/_sandtable/clock`, { headers: { "x-api-key": workspace.apiKey } });
    assert.ok([401, 403].includes(open.status), `without the token: ${open.status}`);
  } finally {
    await container.stop();
  }
  console.log("used");
}

main();
