import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { KeyLines } from "../settings/key-lines.ts";
import { check, holdsSecret, type TomlTable } from "./check.ts";
import { type ConfigCode, ConfigError, type ConfigProblem } from "./config-error.ts";
import type { Checked } from "./schema.ts";

type Camel<S extends string> = S extends `${infer Head}_${infer Tail}` ? `${Head}${Capitalize<Camel<Tail>>}` : S;
type CamelKeys<T> = T extends unknown ? { readonly [K in keyof T & string as Camel<K>]: T[K] } : never;
/** `stateDir`, `logLevel`, `spoolRamMib`, `snmpTraps`. */
export type AgentConfig = CamelKeys<Checked["agent"]>;
/** `url`, where it is not the one of the enrolment. */
export type CentralConfig = CamelKeys<Checked["central"]>;
export type SnmpConfig = CamelKeys<NonNullable<Checked["printer"][number]["snmp"]> & { readonly host: string }>;
/** `snmp` is undefined where the printer is not to be asked. */
export type PrinterConfig = CamelKeys<Omit<Checked["printer"][number], "snmp">> & {
  readonly snmp: SnmpConfig | undefined;
};
/** A reader's settings as its driver takes them, the printer that it releases on, and its parsed pipeline. */
export type ReaderConfig = CamelKeys<Checked["reader"][number]>;

export interface Config {
  readonly agent: AgentConfig;
  readonly central: CentralConfig;
  /** At least one; each name once. */
  readonly printers: readonly PrinterConfig[];
  /** Each name once; each `printer` is the name of one in `printers`. */
  readonly readers: readonly ReaderConfig[];
}

export const DEFAULT_PATH = "/etc/printgate/printgate.toml";
const MAX_BYTES = 2 ** 20;

/** The file to load: --config, else PRINTGATE_CONFIG, else /etc/printgate/printgate.toml. */
export function configPath(
  option: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): string {
  return option ?? (environment.PRINTGATE_CONFIG || DEFAULT_PATH);
}

/** @throws ConfigError with every problem of the file. */
export async function loadConfig(file: string): Promise<Config> {
  const { toml, mode } = await readFile(file);
  return parseConfig(toml, file, mode);
}

/**
 * `mode`: the file's permission bits; a file that holds secret keys must be its owner's alone.
 * @throws ConfigError with every problem of the text.
 */
export async function parseConfig(toml: string, file: string, mode = 0o600): Promise<Config> {
  const raw = await parseToml(toml, file);
  const problems = (mode & 0o077) !== 0 && holdsSecret(raw) ? [readableByOthers(file)] : [];
  const checked = check(raw, file, () => new KeyLines(toml));
  if ("problems" in checked) problems.push(...checked.problems);
  const [first, ...others] = problems;
  if (first !== undefined) throw new ConfigError([first, ...others]);
  if ("problems" in checked) throw new TypeError("a check that fails tells why");
  return configOf(checked.data);
}

async function parseToml(toml: string, file: string): Promise<TomlTable> {
  // Only here: the running agent does not need the parser again.
  const { parse, TomlError } = await import("smol-toml");
  try {
    return parse(toml, { maxDepth: 16, unsafeKeyBehaviour: "throw" });
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    // The rest of its message, and the error itself, quote lines of the file, which may hold keys.
    const message = error.message.split("\n", 1)[0]?.replace("Invalid TOML document: ", "") ?? "is not TOML";
    throw new ConfigError([{ code: "config-syntax", file, line: error.line, key: "", message }]);
  }
}

function configOf({ agent, central, printer, reader }: Checked): Config {
  return {
    agent: camelKeys(agent),
    central: camelKeys(central),
    printers: printer.map(({ snmp, ...rest }) => ({
      ...camelKeys(rest),
      snmp: snmp === undefined ? undefined : camelKeys({ ...snmp, host: snmp.host ?? hostOf(rest.uri) }),
    })),
    readers: reader.map((one) => camelKeys(one)),
  };
}

function camelKeys<T extends object>(table: T): CamelKeys<T> {
  const camel = (key: string) => key.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
  return Object.fromEntries(Object.entries(table).map(([key, value]) => [camel(key), value])) as CamelKeys<T>;
}

/** Without the brackets of an IPv6 address, as sockets take it. */
function hostOf(uri: string): string {
  return new URL(uri).hostname.replace(/^\[|\]$/g, "");
}

async function readFile(file: string): Promise<{ toml: string; mode: number }> {
  const refused = (code: ConfigCode, message: string) => new ConfigError([{ code, file, key: "", message }]);
  let handle: FileHandle | undefined;
  try {
    // Non-blocking, or a named pipe would hold the start for ever.
    handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
    const stat = await handle.stat();
    if (!stat.isFile()) throw refused("config-not-readable", "is not a file");
    if (stat.size > MAX_BYTES) throw refused("config-not-readable", "is larger than 1 MiB");
    return { toml: await handle.readFile("utf8"), mode: stat.mode };
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    const reason = error instanceof Error && "code" in error ? String(error.code) : "unknown";
    if (reason === "ENOENT") throw refused("config-not-found", "there is no such file");
    throw refused("config-not-readable", `cannot be read (${reason})`);
  } finally {
    await handle?.close();
  }
}

function readableByOthers(file: string): ConfigProblem {
  const name = /^[A-Za-z0-9_./-]+$/.test(file) ? file : `'${file.replaceAll("'", "'\\''")}'`;
  const message = "holds keys and is open to other users";
  return { code: "config-readable-by-others", file, key: "", message, suggestion: `chmod 600 ${name}` };
}
