import { type Config, configPath, loadConfig } from "../config/config.ts";
import { type Invocation, textOption } from "./command.ts";

/** The configuration that --config or the environment names, loaded. Rejects with a `ConfigError`. */
export function configOf(invocation: Invocation): Promise<Config> {
  return loadConfig(configPath(textOption(invocation, "config"), process.env));
}
