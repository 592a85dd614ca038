import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { replay } from "../release/ledger.ts";
import { decodeLog } from "../storage/append-log.ts";
import { StorageError } from "../storage/storage-error.ts";
import { pagesOf } from "./account-text.ts";
import { type Command, CommandError, EXIT } from "./command.ts";
import { configOf } from "./configured-agent.ts";

export const command: Command = {
  summary: "what the agent did with each claimed job",
  help: `
usage: printgate ledger show [--config FILE] [--open]

  --config FILE  the configuration of the agent (default: $PRINTGATE_CONFIG, else /etc/printgate/printgate.toml)
  --open         only what has not ended, is in doubt, or is not yet reported

Reads the ledger beside the running agent; changes nothing.`,
  options: { config: { type: "string" }, open: { type: "boolean" } },
  async run(invocation) {
    const { terminal, options, words } = invocation;
    if (words.length !== 1 || words[0] !== "show") throw new CommandError("usage", "call it as: printgate ledger show");
    const { agent } = await configOf(invocation);
    const path = join(agent.stateDir, "ledger.log");
    const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return Buffer.alloc(0);
      throw StorageError.from(error, `read ${path}`);
    });
    const { records, tornBytes, damagedLines } = decodeLog(bytes);
    const { entries, unknownRecords } = replay({ records });
    const shown = [...entries.values()]
      .filter(({ release, reported }) => options.open !== true || !reported || release.phase === "IN_DOUBT")
      .map(({ release, ...claim }) => ({ ...claim, ...release }));
    for (const { at, phase, jobId, printer, end, reported, job, account } of shown) {
      const detail = end?.detail === undefined ? "" : `: ${end.detail}`;
      const reason = end === undefined || end.reason === "none" ? "" : ` (${end.reason}${detail})`;
      const word = end === undefined ? "under way" : `${end.word}${reason}`;
      const printerJob = job === undefined ? "" : `, printer's job ${job.id}`;
      const pages = account === undefined ? "" : `, ${pagesOf(account)}`;
      terminal.line(
        `${at} ${phase.padEnd(8)} ${jobId} on ${printer}${printerJob}: ${word}${pages}${reported ? "" : ", not reported"}`,
      );
    }
    if (shown.length === 0) terminal.line("The ledger is empty.");
    if (tornBytes + damagedLines + unknownRecords > 0) {
      terminal.note(`${tornBytes} torn bytes, ${damagedLines} damaged lines, ${unknownRecords} records not understood`);
    }
    terminal.result({ path, tornBytes, damagedLines, unknownRecords, entries: shown });
    return EXIT.ok;
  },
};
