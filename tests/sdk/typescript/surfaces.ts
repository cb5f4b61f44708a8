// Models, token counts, a batch, and a skill.

import assert from "node:assert/strict";
import Anthropic, { toFile } from "@anthropic-ai/sdk";
import { bytesOf, client, CODE, MODEL, outputIds, rejects, results, script, user } from "./support.js";

// Models and counts.
const models: string[] = [];
for await (const model of client.models.list({ limit: 5 })) models.push(model.id);
assert.ok(models.includes("claude-opus-5") && models.length > 10, models.join());
assert.equal((await client.models.retrieve("claude-haiku-4-5")).id, "claude-haiku-4-5-20251001");
await rejects(Anthropic.NotFoundError, client.models.retrieve("claude-does-not-exist"));
const counted = await client.messages.countTokens({ model: MODEL, messages: [user("How long is this?")] });
assert.ok(counted.input_tokens > 0);

await script(`
- when: { user: { contains: compute } }
  then: [{ bash: "echo $((6 * 7))" }]
- when: { user: { contains: workbook } }
  then:
    - bash: |
        echo '{"sheets": [{"rows": [["a", "b"], [1, 2]]}]}' > spec.json
        python /skills/xlsx/scripts/make_workbook.py spec.json "$OUTPUT_DIR/made.xlsx" && cat /skills/greeter/SKILL.md
- then: [{ text: Hello. }]
`);

// A batch, to its results.
const params = (text: string) => ({ model: MODEL, max_tokens: 100, messages: [user(text)], tools: [CODE] });
let batch = await client.messages.batches.create({
  requests: [
    { custom_id: "code", params: params("compute") },
    { custom_id: "wrong", params: { ...params("hi"), max_tokens: -1 } },
  ],
});
while (batch.processing_status !== "ended") {
  await new Promise((resolve) => setTimeout(resolve, 50));
  batch = await client.messages.batches.retrieve(batch.id);
}
const outcomes = new Map<string, any>();
for await (const each of await client.messages.batches.results(batch.id)) outcomes.set(each.custom_id, each.result);
assert.equal(results(outcomes.get("code").message)[0].stdout, "42\n");
assert.equal(outcomes.get("wrong").error.error.type, "invalid_request_error");
assert.equal((await client.messages.batches.delete(batch.id)).type, "message_batch_deleted");

// A skill of our own beside one of the vendor's, and the file it makes.
const manifest = "---\nname: greeter\ndescription: Greets.\n---\n\nHello.\n";
const skill = await client.skills.create({ files: [await toFile(Buffer.from(manifest), "greeter/SKILL.md")] });
assert.equal(skill.display_name, "greeter");
const answer = await client.messages.create({
  ...params("workbook"),
  container: {
    skills: [
      { type: "custom", skill_id: skill.id },
      { type: "anthropic", skill_id: "xlsx" },
    ],
  },
});
const [made] = results(answer);
assert.ok(made.stdout.endsWith(manifest), JSON.stringify(made));
assert.equal((answer as any).container.skills[1].version, "20260803");
const file = await bytesOf(client.files.download(outputIds(answer)[0]) as any);
assert.equal(file.subarray(0, 2).toString(), "PK");
assert.equal((await client.skills.delete(skill.id)).type, "skill_deleted");
