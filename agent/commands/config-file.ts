import { readFile, realpath, stat } from "node:fs/promises";
import { type Config, configPath, loadConfig, parseConfig } from "../config/config.ts";
import { ConfigError } from "../config/config-error.ts";
import { replaceFile } from "../storage/atomic-file.ts";
import { StorageError } from "../storage/storage-error.ts";
import { type Invocation, textOption } from "./command.ts";

/** The configuration as a command found it, to be replaced by a changed one that the loader takes. */
export class ConfigFile {
  readonly file: string;
  readonly config: Config;
  readonly text: string;

  private constructor(file: string, config: Config, text: string) {
    this.file = file;
    this.config = config;
    this.text = text;
  }

  /** The file that --config or the environment names. @throws ConfigError */
  static async of(invocation: Invocation): Promise<ConfigFile> {
    const file = configPath(textOption(invocation, "config"), process.env);
    const config = await loadConfig(file);
    return new ConfigFile(file, config, await readFile(file, "utf8"));
  }

  /** What the agent would have with `text` in the file. @throws ConfigError */
  check(text: string): Promise<Config> {
    return parseConfig(text, this.file);
  }

  /** Replaces the file, with the mode and the owner that it has. @throws ConfigError */
  async replace(text: string): Promise<void> {
    await this.check(text);
    // A link stays a link.
    const path = await realpath(this.file);
    if ((await readFile(path, "utf8")) !== this.text) throw this.problem("config-changed", "is not what it was");
    try {
      await replaceFile(path, text, await stat(path));
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      throw this.problem("config-not-writable", error.detail);
    }
  }

  problem(code: "config-changed" | "config-not-writable", message: string): ConfigError {
    return new ConfigError([{ code, file: this.file, key: "", message }]);
  }
}
