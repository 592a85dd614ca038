import { X509Certificate } from "node:crypto";
import { systemClock } from "../../drivers/clock.ts";
import { BrowseError } from "../../drivers/discovery/browse.ts";
import { whereaboutsOf } from "../../drivers/discovery/follow-machine.ts";
import { locate } from "../../drivers/discovery/locate.ts";
import { silentLog } from "../../drivers/log.ts";
import { PRINTER_CODES, type Printer, PrinterError, type PrinterState } from "../../drivers/printer.ts";
import type { Config, PrinterConfig } from "../config/config.ts";
import { type Check, check, checkClock, checkStorage } from "../health/doctor.ts";
import { checkHost, type HostNeeds } from "../health/host.ts";
import { printerNotes, whereaboutsInWords } from "../health/printer-notes.ts";
import type { AgentStatus } from "../health/status.ts";
import { bootId } from "../link/boot.ts";
import { CentralLink } from "../link/client.ts";
import { IdentityFolder } from "../link/enrolment/identity.ts";
import { isDue, Renewal } from "../link/renewal.ts";
import { printerOf } from "../printer-of.ts";
import { type Command, EXIT } from "./command.ts";
import { configOf, statusOf } from "./configured-agent.ts";

/** A running agent renews within an hour; one that was off for long, soon after its start. */
const OVERDUE_MS = 3 * 86_400_000;
const MARK = { pass: "ok  ", warn: "warn", fail: "FAIL", skip: "-   " } as const;

export const command: Command = {
  summary: "check everything the agent needs, one by one, and say what to do",
  help: `
usage: printgate doctor [--config FILE]

  --config FILE  the configuration (default: $PRINTGATE_CONFIG, else /etc/printgate/printgate.toml)

Checks configuration, storage, central server (TLS, key pins, certificate), clock, each printer and, where the agent
runs, each reader; then this machine: kernel, user, udev rules, keys of readers kept from the console, time server, swap,
file system, power, ports, hardware watchdog, journal. A row with - cannot be told here, or nothing needs it. Prints nothing and changes nothing. Exit code 0 when nothing failed.`,
  options: { config: { type: "string" } },
  async run(invocation) {
    const { terminal, signal } = invocation;
    const config = await configOf(invocation);
    const checks: Check[] = [];
    const add = (done: Check) => {
      checks.push(done);
      terminal.line(`${MARK[done.result]}  ${done.name}: ${done.evidence}`);
      if (done.next !== undefined) terminal.line(`      → ${done.next}`);
    };
    const clock = systemClock;
    const { stateDir } = config.agent;
    add({
      name: "configuration",
      result: "pass",
      evidence: `${config.printers.length} printer(s), ${config.readers.length} reader(s)`,
    });
    add(await checkStorage(stateDir, clock));

    let serverTime: string | undefined;
    add(
      await check("central server", async () => {
        const folder = new IdentityFolder(stateDir);
        const identity = await folder.load();
        // What the agent connects as; only the agent itself renews it.
        const { client } = new Renewal({ folder, identity, clock, log: silentLog });
        const url = config.central.url ?? identity.url;
        const link = new CentralLink({ ...identity.trust, url, client, boot: await bootId(), clock, log: silentLog });
        try {
          const start = clock.monotonic();
          const self = await link.self(signal);
          serverTime = self.serverTime;
          const ms = (clock.monotonic() - start).toFixed(1);
          const until = new X509Certificate(client.certificate).validToDate.toISOString().slice(0, 10);
          const evidence = `${url} knows this agent as ${self.name}; connected, pinned and answered in ${ms} ms; certificate until ${until}`;
          return isDue(client.certificate, Date.parse(serverTime) - OVERDUE_MS)
            ? {
                result: "warn",
                evidence,
                next: "It should have been renewed: look at the running agent's log for why not.",
              }
            : { result: "pass", evidence };
        } finally {
          await link.stop();
        }
      }),
    );
    add(await checkClock(clock, serverTime));

    for (const settings of config.printers) {
      const printer = printerOf(settings, clock, silentLog);
      // Both at once: an SNMP agent that is silent takes seconds.
      const looked = printer.look?.();
      add(
        await check(`printer ${settings.name}`, async () => {
          const state = await printer.state(signal).catch(async (error: unknown) => {
            const isLost = error instanceof PrinterError && error.code === "printer-unreachable";
            const found = isLost ? await lostPrinter(settings, signal) : undefined;
            if (found === undefined) throw error;
            return found;
          });
          if ("result" in state) return state;
          await looked;
          return printerRow(settings.uri, state, printer);
        }),
      );
      await printer.stop();
    }

    let readers: AgentStatus["readers"] = [];
    let agentRuns = false;
    add(
      await check("agent", async () => {
        const running = await statusOf(config);
        if (running === undefined) {
          return {
            result: "warn",
            evidence: "it does not run",
            next: "Start it with `printgate run`; then its readers are open.",
          };
        }
        readers = running.readers;
        agentRuns = true;
        return { result: "pass", evidence: `it runs as process ${running.pid}` };
      }),
    );
    for (const { name, family, status, error, hint } of readers) {
      const evidence = [`${family}: ${status}`, error?.detail, hint].filter((part) => part !== undefined).join("; ");
      const next = error?.next ?? "It is opened as soon as it appears.";
      add({
        name: `reader ${name}`,
        ...(status === "ready" ? { result: "pass", evidence } : { result: "fail", evidence, next }),
      });
    }
    for (const row of await checkHost(needsOf(config, agentRuns))) add(row);
    terminal.result({ checks });
    return checks.some(({ result }) => result === "fail") ? EXIT.failed : EXIT.ok;
  },
};

/** Where a printer that does not answer was found by its uuid; undefined if nowhere. */
async function lostPrinter(
  { uuid, ...settings }: PrinterConfig,
  signal: AbortSignal,
): Promise<Omit<Check, "name"> | undefined> {
  if (uuid === undefined) return undefined;
  const found = await locate({ ...settings, uuid }, systemClock, signal).catch((error: unknown) => {
    if (error instanceof BrowseError) return [];
    throw error;
  });
  const whereabouts = whereaboutsOf(found);
  const [words] = whereaboutsInWords(whereabouts);
  if (words === undefined) return undefined;
  const { what, next } = PRINTER_CODES["printer-unreachable"];
  return {
    result: whereabouts.host === undefined ? "fail" : "warn",
    evidence: `${settings.uri}: ${what} ${words}`,
    next,
  };
}

function needsOf({ agent, readers }: Config, agentRuns: boolean): HostNeeds {
  return {
    stateDir: agent.stateDir,
    keyboards: readers.flatMap((one) =>
      one.family === "hid-keyboard" ? [{ name: one.name, vendorId: one.vendorId, productId: one.productId }] : [],
    ),
    serial: readers.some((one) => "path" in one && one.path !== undefined),
    listens: readers.flatMap((one) =>
      "listen" in one && one.listen !== undefined ? [{ name: one.name, port: one.listen.port }] : [],
    ),
    agentRuns,
  };
}

/** IPP decides; SNMP may veto, and is only warned of where it does not work. */
function printerRow(uri: string, { state, reasons, blocking }: PrinterState, printer: Printer): Omit<Check, "name"> {
  const { verdict, health } = printer;
  const notes = health?.latest === undefined ? [] : printerNotes(health.latest.facts);
  const snmp =
    health === undefined
      ? []
      : [
          `SNMP says ${verdict.verdict}${inBrackets(verdict.conditions)}`,
          ...(health.problem ? [health.problem.row.what] : []),
        ];
  const evidence = [`${uri} is ${state}${inBrackets(reasons)}`, ...snmp, ...notes].join("; ");
  if (blocking.length > 0 || verdict.verdict === "blocked") {
    return { result: "fail", evidence, next: "Clear what the printer's panel shows; until then jobs stay held." };
  }
  if (health?.problem !== undefined) return { result: "warn", evidence, next: health.problem.row.next };
  return { result: "pass", evidence };
}

function inBrackets(words: readonly string[]): string {
  return words.length === 0 ? "" : ` (${words.join(", ")})`;
}
