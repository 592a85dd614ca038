import { type Pipeline, parsePipeline } from "../pipeline.ts";
import { exportMyq, importMyq } from "./myq.ts";
import { type HexCase, operationsOf, type Taken } from "./operation.ts";
import { exportPapercut, importPapercut } from "./papercut.ts";
import { exportSafeq, importSafeq } from "./safeq.ts";
import { exportSavapage, importSavapage } from "./savapage.ts";

/** Print servers whose card rules can be taken over. */
export const SYSTEMS = ["papercut", "savapage", "safeq", "myq"] as const;
export type System = (typeof SYSTEMS)[number];

export interface ImportOptions {
  /** Where a rule leaves open how hexadecimal digits are written. */
  readonly hexCase?: HexCase | undefined;
}

/**
 * The pipeline that does what the rule does.
 * @throws CardError card-import-unsupported, card-import-open or card-pattern-unsupported, naming the function.
 */
export function importRule(system: System, rule: string, { hexCase }: ImportOptions = {}): Taken {
  const taken = read(system, rule, hexCase);
  // A rule can be sound and yet too long for one of our pipelines.
  parsePipeline(taken.text);
  return taken;
}

function read(system: System, rule: string, hexCase: HexCase | undefined): Taken {
  switch (system) {
    case "papercut":
      return importPapercut(rule);
    case "savapage":
      return importSavapage(rule);
    case "safeq":
      return importSafeq(rule, hexCase);
    case "myq":
      return importMyq(rule);
  }
}

/**
 * The rule that does what the pipeline does.
 * @throws CardError card-export-unsupported, naming the step.
 */
export function exportRule(system: System, pipeline: Pipeline): Taken {
  if (system === "savapage") return exportSavapage(pipeline);
  const { operations, notes } = operationsOf(pipeline);
  const taken = { papercut: exportPapercut, safeq: exportSafeq, myq: exportMyq }[system](operations);
  return { text: taken.text, notes: [...notes, ...taken.notes] };
}
