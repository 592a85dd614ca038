import { readFileSync } from "node:fs";

declare const PRINTGATE_VERSION: string | undefined;

/** From package.json in a checkout; the bundle has it built in. */
export const VERSION: string =
  typeof PRINTGATE_VERSION === "string"
    ? PRINTGATE_VERSION
    : (JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as { version: string }).version;

/**
 * The number of the format of what the agent keeps in its state folder. It rises when an older version could not read it any
 * more; the package refuses to go back to one that says less.
 */
export const STATE_FORMAT = 1;
