// Every kind of fault has a shorthand. Which kinds there are, the inspector's catalogue says, which the server's own tests keep whole.
import assert from "node:assert/strict";
import fs from "node:fs";
import { after, before, test } from "node:test";
import { Server } from "sandtable";

const CATALOGUE = process.env.SANDTABLE_TEST_CATALOGUE;

let server;
before(async () => (server = await Server.start()));
after(() => server.stop());

const kind = (fault) => `${fault.at} ${fault.do ?? ("delay_ms" in fault ? "delay_ms" : "error")}`;

test("every kind of fault has a shorthand", async () => {
  const { faults } = server.workspace();
  const made = [
    await faults.overloaded(),
    await faults.overloaded({ afterEvents: 2 }),
    await faults.cut(),
    await faults.cut({ afterEvents: 2 }),
    await faults.stall(),
    await faults.stall({ afterEvents: 2 }),
    await faults.delay(1),
    await faults.delay(1, { afterEvents: 2 }),
    await faults.advance("30d"),
    await faults.deleteFile(),
    await faults.pause(),
    await faults.pause({ inside: true }),
    await faults.stop("refusal", { afterBlocks: 1 }),
    await faults.expireContainer(),
    await faults.toolError(),
    await faults.killSandbox(),
    await faults.exhaustMemory(),
    await faults.fillDisk(),
    await faults.engineUnreachable(),
    await faults.slow(1000),
    await faults.split(7),
    await faults.merge(),
    await faults.hang({ afterEvents: 3 }),
    await faults.reset({ afterBytes: 0, afterWork: true }),
    await faults.malformed(),
    await faults.unknownEvent(),
    await faults.pings(3),
    await faults.deltas(),
    await faults.unknownMembers({ nth: 2 }),
    await faults.pace(40),
  ];
  const groups = JSON.parse(fs.readFileSync(CATALOGUE, "utf8"));
  const wanted = groups.flatMap((group) => group.faults.map((entry) => kind(entry.fault)));
  assert.deepEqual([...new Set(made.map((state) => kind(state.fault)))].sort(), [...new Set(wanted)].sort());
});
