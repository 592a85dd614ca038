import { controlSocketPath } from "../agent.ts";
import { printerNotes, whereaboutsInWords } from "../health/printer-notes.ts";
import { type AgentStatus, type DiskUse, duration, type PolicySummary, verdictOf } from "../health/status.ts";
import type { TapTrace, TracedJob } from "../release/trace.ts";
import { type Command, CommandError, EXIT } from "./command.ts";
import { configOf, statusOf } from "./configured-agent.ts";

export const command: Command = {
  summary: "what the running agent, its readers and its printers are doing",
  help: `
usage: printgate status [--config FILE]

  --config FILE  the configuration of the agent to ask (default: $PRINTGATE_CONFIG, else /etc/printgate/printgate.toml)

Exit code 0 when the agent is ready, 1 when something is wrong or it does not run.`,
  options: { config: { type: "string" } },
  async run(invocation) {
    const { terminal } = invocation;
    const config = await configOf(invocation);
    const status = await statusOf(config);
    if (status === undefined) throw new CommandError("agent-not-running", controlSocketPath(config.agent.stateDir));
    const verdict = verdictOf(status);
    for (const line of describe(status, verdict)) terminal.line(line);
    terminal.result({ verdict, ...status });
    return verdict.status === "ready" ? EXIT.ok : EXIT.failed;
  },
};

function describe(status: AgentStatus, verdict: ReturnType<typeof verdictOf>): string[] {
  const { central, readers, printers, ledger, taps, policy } = status;
  const trip = central.roundTripMs === undefined ? "" : `, ${central.roundTripMs.toFixed(1)} ms`;
  const until =
    central.certificateUntil === undefined ? "" : `, certificate until ${central.certificateUntil.slice(0, 10)}`;
  return [
    verdict.line,
    ...verdict.problems.map((text) => `  ! ${text}`),
    "",
    `agent    ${status.name} ${status.version}, pid ${status.pid}, up ${duration(status.uptimeMs)}, ${status.memoryMiB} MiB`,
    `central  ${central.status}${trip}${until}`,
    ...(policy === undefined ? [] : [`policy   ${policyInWords(policy)}`]),
    ...readers.flatMap((r) => {
      const last = r.lastReadAgoMs === undefined ? "no card yet" : `last card ${duration(r.lastReadAgoMs)} ago`;
      const line = `reader   ${r.name} (${r.family} at ${r.printer}): ${r.status} for ${duration(r.forMs)}, ${last}`;
      return r.hint === undefined ? [line] : [line, `  ? reader ${r.name}: ${r.hint}`];
    }),
    ...printers.flatMap((p) => [
      `printer  ${p.name} ${p.uri}: snmp ${p.snmp}, ${p.depth} job(s) under way`,
      ...whereaboutsInWords(p).map((text) => `  ? printer ${p.name}: ${text}`),
      ...(p.snmpError === undefined ? [] : [`  ? printer ${p.name}: ${p.snmpError.what} ${p.snmpError.next}`]),
      ...(p.quirks ?? []).map(({ name, from, symptom }) => `  - quirk ${name} (${from}): ${symptom}`),
      ...(p.facts === undefined ? [] : printerNotes(p.facts)).map((note) => `  ? printer ${p.name}: ${note}`),
    ]),
    ...(status.snmpTraps?.error === undefined
      ? []
      : [`  ? traps: ${status.snmpTraps.error.what} ${status.snmpTraps.error.next}`]),
    ...(status.disk === undefined ? [] : [`disk     ${diskInWords(status.disk)}`]),
    `ledger   ${ledger.open} open, ${ledger.unreported} to report, ${ledger.inDoubt} in doubt`,
    ...taps.slice(-5).map((tap) => {
      const jobs = tap.jobs.map(jobText).join(", ");
      return `tap      ${tap.at} ${tap.reader} ${credentialOf(tap)}: ${tap.signal ?? "…"}${jobs === "" ? "" : ` (${jobs})`}`;
    }),
  ];
}

/** SD cards wear out by what is written; an idle agent writes nothing. */
function diskInWords({ writtenBytes, releases }: DiskUse): string {
  const kib = (bytes: number) => `${(bytes / 1024).toFixed(bytes < 10_240 ? 1 : 0)} KiB`;
  const each = releases === 0 ? "" : `, ${kib(writtenBytes / releases)} for each of ${releases} release(s)`;
  return `${kib(writtenBytes)} written since the start${each}`;
}

function credentialOf({ credential, card = "?" }: TapTrace): string {
  switch (credential) {
    case "card-pin":
      return `card ${card} and PIN`;
    case "id-pin":
      return "number and PIN";
    default: // also of a tap that failed before it had one
      return `card ${card}`;
  }
}

function jobText({ word, reason = "none", detail }: TracedJob): string {
  if (word === undefined || reason === "none") return word ?? "under way";
  return `${word}: ${reason}${detail === undefined ? "" : `, ${detail}`}`;
}

/** `1.4, signed 3 d ago, good until 2026-12-25T04:46:08.214Z, news pushed`. */
export function policyInWords(policy: PolicySummary): string {
  const { version, ageMs = 0, expiresAt, state, clock, news, trialLeftMs } = policy;
  const what =
    version === undefined
      ? "none yet, the defaults hold"
      : `${version}, signed ${ageMs < 0 ? "just now" : `${duration(ageMs)} ago`}, ${state === "expired" ? "over since" : "good until"} ${expiresAt}`;
  return [
    what,
    `news ${news}`,
    ...(clock === "implausible" ? ["this machine's clock is wrong"] : []),
    ...(trialLeftMs === undefined ? [] : [`new key pins on trial, ${duration(trialLeftMs)} left`]),
  ].join(", ");
}
