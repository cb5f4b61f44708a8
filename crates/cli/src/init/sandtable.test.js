// Tests of code that uses the code execution tool: the model is scripted, its calls really run.
import Anthropic from "@anthropic-ai/sdk";
import { useSandtable } from "sandtable/vitest";
import { expect, test } from "vitest";

/** Stands for your own code: import it instead. No client needs a base URL or a key here. */
async function makeTable() {
  const client = new Anthropic();
  const answer = await client.messages.create({
    model: "claude-opus-4-6",
    max_tokens: 1024,
    messages: [{ role: "user", content: "Make a table of cities." }],
    tools: [{ type: "code_execution_20250825", name: "code_execution" }],
  });
  const results = answer.content.filter((block) => block.type === "bash_code_execution_tool_result");
  const files = results.flatMap((block) => block.content.content).map((file) => file.file_id);
  return (await client.beta.files.download(files[0])).text();
}

const sandtable = useSandtable({ script: "first.yaml" });

test("the file comes back", async () => {
  expect(await makeTable()).toBe("city,degrees\nOslo,4\nCairo,31\n");
});

test("the code survives an overload", async () => {
  await sandtable.faults.overloaded({ times: 2, headers: { "retry-after-ms": "1" } });
  expect(await makeTable()).toContain("Oslo");
  const exchanges = await sandtable.journal.entries();
  const messages = exchanges.filter((exchange) => exchange.path === "/v1/messages");
  expect(messages.map((exchange) => exchange.status)).toEqual([529, 529, 200]);
});
