// The examples of the documents: calculate, look around, create and edit, fetch a chart, go on later, the older tool.

import assert from "node:assert/strict";
import { bytesOf, client, CODE, isPng, kinds, LEGACY, MODEL, outputIds, results, said, user } from "./support.js";

const ask = (text: string, options: object = {}) =>
  client.messages.create({ model: MODEL, max_tokens: 4096, messages: [user(text)], tools: [CODE], ...options });

const numbers = "What are the mean and standard deviation of [2, 4, 4, 4, 5, 5, 7, 9]?";
let answer = await ask(numbers);
assert.deepEqual(kinds(answer), ["text", "server_tool_use", "bash_code_execution_tool_result", "text"]);
assert.match(said(answer), /Mean: 5\.0[^]*Standard deviation: 2\.0/);

answer = await ask("Which Python version is there, and what packages?");
assert.match(said(answer), /Python 3\.11\.\d+[^]*matplotlib[^]*pandas/);

answer = await ask("Make a config.yaml for a database and change its port from 5432 to 3306.");
assert.deepEqual(
  results(answer).map((result) => result.type),
  ["create", "str_replace", "view"].map((command) => `text_editor_code_execution_${command}_result`),
);
assert.match(results(answer)[2].content, /port: 3306/);

answer = await ask("Draw a matplotlib visualization and store it as output.png.");
const [chart] = outputIds(answer);
assert.equal((await client.files.retrieveMetadata(chart)).filename, "output.png");
assert.ok(isPng(await bytesOf(client.files.download(chart))));

const first = await ask("Store a random number in /tmp/number.txt.");
const number = Number(/number\.txt: (\d+)/.exec(results(first)[0].stdout)![1]);
const second = await ask("Read /tmp/number.txt and calculate the square of the number.", {
  container: first.container!.id,
});
assert.match(said(second), new RegExp(`Square: ${number ** 2}\\b`));
assert.equal(second.container!.id, first.container!.id);

answer = await ask(numbers, { tools: [LEGACY] });
assert.deepEqual(kinds(answer), ["text", "server_tool_use", "code_execution_tool_result", "text"]);
assert.equal(results(answer)[0].stdout, "Mean: 5.0\nStandard deviation: 2.0\n");
const legacy = await client.beta.messages.create({
  model: MODEL,
  betas: ["code-execution-2025-05-22"],
  max_tokens: 64,
  messages: [user('```python\nimport os\nopen(os.environ["OUTPUT_DIR"] + "/a.txt", "w").write("a")\n```')],
  tools: [LEGACY],
});
assert.equal(results(legacy)[0].content[0].type, "code_execution_output");
assert.equal((await bytesOf(client.beta.files.download(outputIds(legacy)[0]))).toString(), "a");
