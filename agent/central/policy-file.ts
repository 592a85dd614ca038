import { open } from "node:fs/promises";
import type * as z from "zod/mini";
import { PolicySettings } from "../protocol/policy.ts";
import { annotatedToml } from "../settings/annotated.ts";
import { namesAt } from "../settings/key.ts";
import { KeyLines } from "../settings/key-lines.ts";
import { nearest } from "../settings/nearest.ts";
import { CentralError } from "./central-error.ts";

const MAX_BYTES = 64 * 1024;

const HEAD = `# A policy of Printgate, in TOML (https://toml.io). A key that is left out has its default.
# Lines that begin with #name = show the default, or an example where there is none.
# To put it in force: printgate central policy publish FILE`;

/** Every key of a policy, with its documentation, unit, form and default. */
export const policyExample = (): string => annotatedToml(PolicySettings, HEAD);

/** The settings in a TOML file, or in a JSON file where its name says so. `policy-file-invalid`, with everything that is wrong. */
export async function readPolicyFile(file: string): Promise<PolicySettings> {
  return parsePolicy(await textOf(file), file);
}

export async function parsePolicy(text: string, file: string): Promise<PolicySettings> {
  const isJson = file.endsWith(".json");
  const raw = isJson ? parseJson(text, file) : await parseToml(text, file);
  const parsed = PolicySettings.safeParse(raw);
  if (parsed.success) return parsed.data;
  const lines = isJson ? undefined : new KeyLines(text);
  const problems = parsed.error.issues.flatMap((issue) => problemsOf(issue, file, lines));
  throw new CentralError("policy-file-invalid", problems.join("\n"));
}

function problemsOf(issue: z.core.$ZodIssue, file: string, lines: KeyLines | undefined): string[] {
  const described = (path: readonly PropertyKey[], message: string): string => {
    // An element of a list stands in the key of the list.
    const names = path.filter((part) => typeof part !== "number").map(String);
    const line = lines?.of(names);
    return `${file}${line === undefined ? "" : `:${line}`}: ${names.join(".")}: ${message}`;
  };
  if (issue.code !== "unrecognized_keys") return [described(issue.path, issue.message)];
  const known = namesAt(PolicySettings, issue.path, undefined);
  return issue.keys.map((key) => {
    const meant = nearest(key, known);
    const hint = meant === undefined ? "" : ` (did you mean ${meant}?)`;
    return described([...issue.path, key], `there is no such key${hint}`);
  });
}

function parseJson(text: string, file: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new CentralError("policy-file-invalid", `${file}: it is not JSON`, { cause });
  }
}

async function parseToml(text: string, file: string): Promise<unknown> {
  const { parse, TomlError } = await import("smol-toml");
  try {
    return parse(text, { maxDepth: 8, unsafeKeyBehaviour: "throw" });
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    throw new CentralError("policy-file-invalid", `${file}:${error.line}: it is not TOML`);
  }
}

async function textOf(file: string): Promise<string> {
  try {
    const handle = await open(file, "r");
    try {
      const { size } = await handle.stat();
      if (size > MAX_BYTES) throw new CentralError("policy-file-invalid", `${file}: it is larger than 64 KiB`);
      return await handle.readFile("utf8");
    } finally {
      await handle.close();
    }
  } catch (cause) {
    if (cause instanceof CentralError) throw cause;
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown";
    throw new CentralError("policy-file-invalid", `${file}: it cannot be read (${code})`, { cause });
  }
}
