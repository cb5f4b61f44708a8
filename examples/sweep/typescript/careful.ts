// The careful agent, with the official SDK.

import { Agent, main } from "./agent.ts";
import { Service } from "./service.ts";

await main(new Agent(new Service()), process.argv[2]);
