import { readFileSync } from "node:fs";

declare const PRINTGATE_VERSION: string | undefined;

/** From package.json in a checkout; the bundle has it built in. */
export const VERSION: string =
  typeof PRINTGATE_VERSION === "string"
    ? PRINTGATE_VERSION
    : (JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as { version: string }).version;
