import { writeFile } from "node:fs/promises";
import { knownReaders, udevRules } from "../drivers/discovery/udev-rules.ts";

/** The rules that are shipped, made from the table of known readers; a test compares the two. */
export const SHIPPED_RULES = new URL("../systemd/60-printgate-readers.rules", import.meta.url);

if (import.meta.main) await writeFile(SHIPPED_RULES, udevRules(knownReaders()));
