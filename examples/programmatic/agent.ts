// Answers what code calls: over the SDK's runner, and by hand.

import Anthropic from "@anthropic-ai/sdk";
import { betaTool } from "@anthropic-ai/sdk/helpers/beta/json-schema";

const ROWS: Record<string, number[]> = { harbor: [450], valley: [450, 50], ridge: [300] };
const CODE = { type: "code_execution_20260120", name: "code_execution" } as const;
const OPTIONS = { model: "claude-opus-4-6", max_tokens: 2048 };
const QUESTION = { role: "user", content: "which is the best region?" } as const;
const QUERY = {
  name: "query_database",
  description: "The revenues of a region, as JSON.",
  allowed_callers: ["code_execution_20260120"] as any,
};
const SCHEMA = { type: "object", properties: { region: { type: "string" } }, required: ["region"] } as const;
const query = ({ region }: { region: string }) => JSON.stringify(ROWS[region]);

const client = new Anthropic();
const text = (answer: any) => answer.content.map((block: any) => (block.type === "text" ? block.text : "")).join("");

async function byRunner(): Promise<any> {
  const tool = betaTool({ ...QUERY, inputSchema: SCHEMA, run: (input: any) => query(input) });
  return client.beta.messages.toolRunner({ ...OPTIONS, messages: [QUESTION], tools: [CODE, tool] }).runUntilDone();
}

async function byHand(): Promise<any> {
  const messages: any[] = [QUESTION];
  let container: string | undefined;
  for (;;) {
    const tools: any[] = [CODE, { ...QUERY, input_schema: SCHEMA }];
    const answer: any = await client.beta.messages.create({ ...OPTIONS, messages, tools, container });
    if (answer.stop_reason !== "tool_use") return answer;
    // Code waits in this container, for at most five minutes; without its id the request is refused.
    container = answer.container.id;
    const calls = answer.content.filter((block: any) => block.type === "tool_use");
    const results = calls.map((call: any) => ({ type: "tool_result", tool_use_id: call.id, content: query(call.input) }));
    messages.push({ role: "assistant", content: answer.content }, { role: "user", content: results });
  }
}

console.log(text(await byRunner()));
console.log(text(await byHand()));
