// Asks about a CSV file. Survives an overload in mid-stream, a pause, and the end of its container.

import { createReadStream } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";
import Anthropic from "@anthropic-ai/sdk";

const OPTIONS = {
  model: "claude-opus-4-6",
  max_tokens: 2048,
  tools: [{ type: "code_execution_20250825", name: "code_execution" }],
} as const;
const ATTEMPTS = 4;
const RETRIED = ["overloaded_error", "api_error", "rate_limit_error"];

const client = new Anthropic();

/** One answer. The SDK sends a refused request again, but not one whose stream broke off: that is done here. */
async function stream(messages: any[], container?: string): Promise<any> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await client.beta.messages.stream({ ...OPTIONS, tools: [...OPTIONS.tools], messages, container }).finalMessage();
    } catch (error: any) {
      if (!RETRIED.includes(error?.error?.error?.type) || attempt === ATTEMPTS) throw error;
      await wait((100 + 100 * Math.random()) * 2 ** attempt);
    }
  }
}

const expired = (answer: any) => answer.content.some((block: any) => block.content?.error_code === "container_expired");

class Conversation {
  private container?: string;
  private messages: any[] = [];

  constructor(private readonly fileId: string) {}

  async ask(text: string): Promise<string> {
    let answer = await this.turn(text);
    if (expired(answer)) {
      // What was in the container is gone: the same question again, without it, and with the file.
      this.container = undefined;
      answer = await this.turn(text);
    }
    return answer.content.map((block: any) => (block.type === "text" ? block.text : "")).join("");
  }

  private async turn(text: string): Promise<any> {
    const content: any[] = [{ type: "text", text }];
    if (!this.container) content.push({ type: "container_upload", file_id: this.fileId });
    const messages = [...this.messages, { role: "user", content }];
    let container = this.container;
    let answer: any;
    do {
      answer = await stream(messages, container);
      messages.push({ role: "assistant", content: answer.content });
      container = answer.container?.id ?? container;
    } while (answer.stop_reason === "pause_turn");
    if (!expired(answer)) {
      this.messages = messages;
      this.container = container;
    }
    return answer;
  }
}

const file = await client.beta.files.upload({ file: createReadStream("sales.csv") });
const conversation = new Conversation(file.id);
console.log(await conversation.ask("how many rows are there?"));
console.log(await conversation.ask("which region sold the most?"));
