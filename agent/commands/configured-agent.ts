import { controlSocketPath } from "../agent.ts";
import { type Config, configPath, loadConfig } from "../config/config.ts";
import { askStatus } from "../health/control-socket.ts";
import type { AgentStatus } from "../health/status.ts";
import { CommandError, type Invocation, textOption } from "./command.ts";

/** The configuration that --config or the environment names, loaded. Rejects with a `ConfigError`. */
export function configOf(invocation: Invocation): Promise<Config> {
  return loadConfig(configPath(textOption(invocation, "config"), process.env));
}

/** What the configured agent says of itself; undefined if it does not run. Rejects with `agent-silent`. */
export async function statusOf({ agent }: Config): Promise<AgentStatus | undefined> {
  try {
    return (await askStatus(controlSocketPath(agent.stateDir))) as AgentStatus | undefined;
  } catch (cause) {
    throw new CommandError("agent-silent", cause instanceof Error ? cause.message : "", { cause });
  }
}
