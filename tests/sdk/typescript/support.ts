// What the programs share: the client, the questions, sandtable's controls.

import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";

export const MODEL = "claude-opus-4-6";
export const CODE = { type: "code_execution_20250825", name: "code_execution" } as const;
export const LEGACY = { type: "code_execution_20250522", name: "code_execution" } as const;
export const SALES = `date,region,product,units,revenue_usd
2026-05-01,harbor,lantern,4,200
2026-05-01,valley,lantern,6,300
2026-05-02,harbor,kettle,10,250
2026-05-02,ridge,kettle,2,50
2026-05-03,valley,lantern,3,150
2026-05-03,ridge,lantern,5,250
`;

export const client = new Anthropic();

export const user = (content: any) => ({ role: "user" as const, content });

export const said = (message: any): string =>
  message.content
    .filter((block: any) => block.type === "text")
    .map((block: any) => block.text)
    .join("\n");

export const kinds = (message: any): string[] => message.content.map((block: any) => block.type);

/** The contents of the result blocks. */
export const results = (message: any): any[] =>
  message.content
    .filter((block: any) => block.type.endsWith("code_execution_tool_result"))
    .map((block: any) => block.content);

export const outputIds = (message: any): string[] =>
  results(message).flatMap((result) => (result.content ?? []).map((item: any) => item.file_id));

/** A call of `/_sandtable`. */
export async function control(method: string, path: string, body?: unknown): Promise<any> {
  const response = await fetch(`${process.env.ANTHROPIC_BASE_URL}/_sandtable/${path}`, {
    method,
    headers: { "x-api-key": process.env.ANTHROPIC_API_KEY! },
    body: typeof body === "string" ? body : body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await response.text();
  assert.ok(response.ok, text);
  return text === "" ? undefined : JSON.parse(text);
}

/** Lets these rules, and only these, decide what the model says. */
export const script = (rules: string) => control("PUT", "scripts", rules);

/** The requests of a path so far, oldest first. */
export async function requests(path = "/v1/messages"): Promise<any[]> {
  return (await control("GET", `journal?path=${path}&limit=100`)).data.reverse();
}

/** The error of this class that a promise ends with. */
export async function rejects<E extends Error>(
  kind: new (...args: any[]) => E,
  promise: PromiseLike<unknown>,
): Promise<any> {
  try {
    await promise;
  } catch (error) {
    assert.ok(error instanceof kind, `${error} is no ${kind.name}`);
    return error;
  }
  assert.fail(`no ${kind.name}`);
}

export const bytesOf = async (download: PromiseLike<Response>) =>
  Buffer.from(await (await download).arrayBuffer());

export const isPng = (data: Buffer) =>
  data.subarray(0, 8).equals(Buffer.from("89504e470d0a1a0a", "hex")) && data.includes("IEND");
