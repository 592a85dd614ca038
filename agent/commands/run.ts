import { once } from "node:events";
import { pino } from "pino";
import { Agent } from "../agent.ts";
import { type Command, EXIT } from "./command.ts";
import { configOf } from "./configured-agent.ts";

export const command: Command = {
  summary: "run the agent until it is told to stop (SIGTERM or SIGINT)",
  help: `
usage: printgate run [--config FILE]

  --config FILE  the configuration (default: $PRINTGATE_CONFIG, else /etc/printgate/printgate.toml)

Logs JSON lines on stdout. Stops cleanly: a transfer that is under way is finished first.`,
  options: { config: { type: "string" } },
  async run(invocation) {
    const config = await configOf(invocation);
    const log = pino({ level: config.agent.logLevel, base: null });
    const agent = await Agent.start({ config, log });
    if (!invocation.signal.aborted) {
      // Keeps the process alive whatever the readers' transports do.
      const alive = setInterval(() => {}, 2 ** 30);
      await once(invocation.signal, "abort");
      clearInterval(alive);
    }
    log.info({}, "stopping");
    await agent.stop();
    return EXIT.ok;
  },
};
