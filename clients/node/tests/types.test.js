// The types, as the compiler of a user sees them.
import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";
import { MODULES, node, project } from "./support.js";

const user = (runner) => `
import { Server, Workspace, RefusedError } from "sandtable";
import { useSandtable } from "sandtable/${runner}";

const sandtable = useSandtable({ frozen: new Date(), seed: 7, cassette: { name: "x", mode: "once" } });

export async function user(workspace: Workspace): Promise<number> {
  const now: Date = await workspace.clock.advance("30d");
  const states: string[] = (await sandtable.containers.list()).map((each) => each.state);
  const usd: number = (await workspace.usage()).usd;
  await workspace.faults.overloaded({ times: 2, afterEvents: 3 });
  await using server = await Server.start({ backend: "none", scripts: [{ then: [{ text: "x" }] }] });
  const wrong: number = workspace.baseUrl;
  await workspace.clock.advnace("30d");
  useSandtable({ scirpt: "" });
  return now.getTime() + usd + states.length + server.baseUrl.length;
}
export const status = (error: RefusedError): number => error.status;
`;

test("modules of both kinds are checked", async (t) => {
  const options = { strict: true, noEmit: true, module: "nodenext", target: "es2022", lib: ["esnext"], types: [] };
  const root = project(t, {
    "package.json": "{}",
    "tsconfig.json": JSON.stringify({ compilerOptions: { ...options, skipLibCheck: false }, include: ["*.mts", "*.cts"] }),
    "vitest.mts": user("vitest"),
    "jest.mts": user("jest"),
    "jest.cts": user("jest"),
  });
  const { said } = await node([path.join(MODULES, "typescript/bin/tsc"), "-p", root], { cwd: root });
  const errors = [...said.matchAll(/^(\S+)\((\d+),\d+\): error/gm)].map((match) => `${match[1]}:${match[2]}`);
  const expected = ["jest.cts", "jest.mts", "vitest.mts"].flatMap((file) => [13, 14, 15].map((line) => `${file}:${line}`));
  assert.deepEqual(errors.sort(), expected, said);
});
