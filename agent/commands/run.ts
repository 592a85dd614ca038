import { once } from "node:events";
import { pino } from "pino";
import { systemClock } from "../../drivers/clock.ts";
import { Agent } from "../agent.ts";
import { serviceManager } from "../health/service-manager.ts";
import { Supervision } from "../health/supervision.ts";
import { type Command, EXIT } from "./command.ts";
import { configOf } from "./configured-agent.ts";

export const command: Command = {
  summary: "run the agent until it is told to stop (SIGTERM or SIGINT)",
  help: `
usage: printgate run [--config FILE]

  --config FILE  the configuration (default: $PRINTGATE_CONFIG, else /etc/printgate/printgate.toml)

Logs JSON lines on stdout. Stops cleanly: a transfer that is under way is finished first. Under systemd it says when it is
ready and how it does, and feeds the watchdog while every part of it makes progress or has nothing to do.`,
  options: { config: { type: "string" } },
  async run(invocation) {
    const config = await configOf(invocation);
    const log = pino({ level: config.agent.logLevel, base: null });
    const agent = await Agent.start({ config, log });
    const manager = await serviceManager(process.env, log);
    const supervision = manager && new Supervision(manager, agent, systemClock, log);
    supervision?.begin();
    if (!invocation.signal.aborted) {
      // Keeps the process alive whatever the readers' transports do.
      const alive = setInterval(() => {}, 2 ** 30);
      await once(invocation.signal, "abort");
      clearInterval(alive);
    }
    log.info({}, "stopping");
    supervision?.end();
    await agent.stop();
    return EXIT.ok;
  },
};
