import { once } from "node:events";
import { userInfo } from "node:os";
import type { Administration } from "../central/administration.ts";
import { pagesOf } from "./account-text.ts";
import { approveAgent, listAgents, listRequests, revokeAgent } from "./central-agent.ts";
import { policyExample, publishPolicy, rotateRoot, showPolicy } from "./central-policy.ts";
import { TICKET_FLAGS, TICKET_HELP, TICKET_OPTIONS, ticketFrom, ticketText } from "./central-ticket.ts";
import { addUser, clearId, clearPin, setId, setPin, unlockUser, wordOrInput } from "./central-user.ts";
import { type Command, CommandError, EXIT, type Invocation, textOption } from "./command.ts";
import { readSecret } from "./secret-input.ts";

const DEFAULT_LISTEN = "0.0.0.0:8631";
/** Progress is shown for files from this size on. */
const LARGE_BYTES = 64 * 2 ** 20;

const HELP = `
usage: printgate central init [--host NAME ...]
       printgate central serve [--listen ADDRESS:PORT]
       printgate central user add NAME [--display-name TEXT] [--id NUMBER]
       printgate central user disable|enable NAME
       printgate central user set-pin NAME [--required|--optional] [--generate]
       printgate central user clear-pin|unlock NAME
       printgate central user set-id NAME NUMBER
       printgate central user clear-id NAME
       printgate central card add --user NAME NUMBER
       printgate central card remove NUMBER
       printgate central job add FILE --user NAME [--title TEXT] [--format MIME] [--expires 4h]
               [--copies 2] [--sides two-sided-long-edge] [--job-password] ... (the job's ticket, below)
       printgate central job list [--user NAME] [--all]
       printgate central job decide ID held|printed
       printgate central agent requests
       printgate central agent approve CODE --name NAME [--replace] [--fingerprint FP]
       printgate central agent list
       printgate central agent revoke NAME
       printgate central policy publish FILE
       printgate central policy show
       printgate central policy example
       printgate central policy rotate --root DIR ... [--new-root-keys DIR]
       printgate central audit [--limit 50]

  --data DIR      the server's folder (default: $PRINTGATE_CENTRAL_DATA, else ./printgate-central)
  --host NAME     a host name or IP address that agents reach the server by; may be repeated
                  (default: localhost, 127.0.0.1 and ::1)
  --listen A:P    where to serve (default: ${DEFAULT_LISTEN})
  NUMBER          the card number as \`printgate card convert\` prints it, or the number that a person types with the
                  PIN, 1 to 16 digits; - reads it from standard input
  --required, --optional
                  whether the person's card is not enough without the PIN (default: as before; at first optional)
  --generate      make a PIN of 6 digits and print it, once; else the PIN, 4 to 16 digits, is asked for, or read from
                  standard input where that is no terminal
  --format MIME   the document's format (default: told from its first bytes: PDF, PWG and Apple raster, PCL,
                  PostScript, JPEG)
  --expires TIME  how long the job is held: 90s, 30m, 4h, 2d (default: the policy's, at first 4h)
  --all           jobs that ended too
  CODE            the claim code that \`printgate enrol\` shows on the agent
  --fingerprint   in scripts: what the agent shows; without it, it is shown and a person compares
  --replace       the agent of this name is there and gets the new device's keys; its old keys are worth nothing at once
  FILE            a policy's settings in TOML, or in JSON where the name ends in .json; what it leaves out has its default
  --root DIR      a folder with root keys, of which two are needed; may be repeated
  --new-root-keys DIR
                  make new root keys, too, and leave them there

How a job is to be printed, by IPP's names; what is not said is the printer's to choose:
${TICKET_HELP}

\`policy publish\` signs the settings as the next version; the server obeys it at once, and so do the agents that it
reaches. \`policy rotate\` is for a policy key (or, with --new-root-keys, root keys) that others may have.
All but init and serve work while the server runs.
After 5 wrong PINs a person is locked for 15 minutes, the next time for 30, at most for a day; \`user unlock\` ends it.
\`job decide\` is for jobs listed as unsettled (their agent fell silent while it had them) or in-doubt (the printer's
last word is unknown): look at the printer's tray first. held makes it claimable again.`;

type Run = (invocation: Invocation, words: readonly string[]) => Promise<number>;

interface Action {
  /** How many words follow the action's own. */
  readonly words: number;
  readonly options: readonly string[];
  readonly run: Run;
}

export const command: Command = {
  summary: "the built-in central server and its administration",
  help: HELP,
  options: {
    data: { type: "string" },
    host: { type: "string", multiple: true },
    listen: { type: "string" },
    "display-name": { type: "string" },
    id: { type: "string" },
    required: { type: "boolean" },
    optional: { type: "boolean" },
    generate: { type: "boolean" },
    user: { type: "string" },
    title: { type: "string" },
    format: { type: "string" },
    expires: { type: "string" },
    all: { type: "boolean" },
    root: { type: "string", multiple: true },
    "new-root-keys": { type: "string" },
    limit: { type: "string" },
    name: { type: "string" },
    replace: { type: "boolean" },
    fingerprint: { type: "string" },
    ...TICKET_OPTIONS,
  },
  async run(invocation) {
    const { words } = invocation;
    const length = [2, 1].find((count) => Object.hasOwn(ACTIONS, words.slice(0, count).join(" ")));
    const name = words.slice(0, length ?? 0).join(" ");
    const action = ACTIONS[name];
    if (length === undefined || action === undefined) {
      throw new CommandError("usage", `there is no "central ${words.slice(0, 2).join(" ")}"`.trimEnd());
    }
    const rest = words.slice(length);
    if (rest.length !== action.words) throw new CommandError("usage", `central ${name} takes ${action.words} word(s)`);
    const known = ["data", "json", "help", ...action.options];
    const foreign = Object.keys(invocation.options).find((option) => !known.includes(option));
    if (foreign !== undefined) throw new CommandError("usage", `central ${name} takes no --${foreign}`);
    return action.run(invocation, rest);
  },
};

const ACTIONS: Readonly<Record<string, Action>> = {
  init: { words: 0, options: ["host"], run: init },
  serve: { words: 0, options: ["listen"], run: serve },
  "user add": { words: 1, options: ["display-name", "id"], run: administer(addUser) },
  "user set-pin": { words: 1, options: ["required", "optional", "generate"], run: administer(setPin) },
  "user clear-pin": { words: 1, options: [], run: administer(clearPin) },
  "user unlock": { words: 1, options: [], run: administer(unlockUser) },
  "user set-id": { words: 2, options: [], run: administer(setId) },
  "user clear-id": { words: 1, options: [], run: administer(clearId) },
  "user disable": { words: 1, options: [], run: enableUser(false) },
  "user enable": { words: 1, options: [], run: enableUser(true) },
  "card add": {
    words: 1,
    options: ["user"],
    run: administer(async (admin, invocation, [number = ""]) => {
      const user = neededOption(invocation, "user");
      await admin.addCard(user, await wordOrInput(number));
      invocation.terminal.line(`card added for ${user}`);
      return { user };
    }),
  },
  "card remove": {
    words: 1,
    options: [],
    run: administer(async (admin, { terminal }, [number = ""]) => {
      await admin.removeCard(await wordOrInput(number));
      terminal.line("card removed");
      return {};
    }),
  },
  "job add": { words: 1, options: ["user", "title", "format", "expires", ...TICKET_FLAGS], run: administer(addJob) },
  "job list": { words: 0, options: ["user", "all"], run: administer(listJobs) },
  "job decide": {
    words: 2,
    options: [],
    run: administer(async (admin, { terminal }, [id = "", decision = ""]) => {
      if (decision !== "held" && decision !== "printed") throw new CommandError("usage", "decide held or printed");
      await admin.decide(id, decision);
      terminal.line(`job ${id} is ${decision}`);
      return { id, state: decision };
    }),
  },
  "agent requests": { words: 0, options: [], run: administer(listRequests) },
  "agent approve": {
    words: 1,
    options: ["name", "replace", "fingerprint"],
    run: administer(approveAgent),
  },
  "agent list": { words: 0, options: [], run: administer(listAgents) },
  "agent revoke": { words: 1, options: [], run: administer(revokeAgent) },
  "policy publish": { words: 1, options: [], run: administer(publishPolicy) },
  "policy show": { words: 0, options: [], run: administer(showPolicy) },
  "policy example": { words: 0, options: [], run: policyExample },
  "policy rotate": { words: 0, options: ["root", "new-root-keys"], run: administer(rotateRoot) },
  audit: {
    words: 0,
    options: ["limit"],
    run: administer(async (admin, invocation) => {
      const limit = Number(textOption(invocation, "limit") ?? 50);
      if (!Number.isInteger(limit) || limit < 1) throw new CommandError("usage", "--limit takes a whole number");
      const rows = (await admin.audit(limit)).map((row) => ({ ...row, at: iso(row.at) }));
      for (const { at, actor, event, detail } of rows.toReversed()) {
        invocation.terminal.line(`${at}  ${actor}  ${event}  ${JSON.stringify(detail)}`);
      }
      return { audit: rows };
    }),
  },
};

async function init(invocation: Invocation): Promise<number> {
  const { terminal, options } = invocation;
  const dataDir = dataFolder(invocation);
  const { Administration, DEFAULT_HOSTS } = await import("../central/administration.ts");
  const hosts = Array.isArray(options.host) ? options.host.map(String) : DEFAULT_HOSTS;
  await Administration.create(dataDir, hosts);
  terminal.line(`central server made in ${dataDir}, for ${hosts.join(", ")}`);
  terminal.note(
    `Back up ${dataDir}/keys now, to a place that nobody else can read: without it every agent must be set up anew, ` +
      "and whoever has it can pose as this server. backup.key and ca.key may live in that place only; " +
      "the server needs ca.key once a year, to renew its certificate.",
  );
  terminal.note(
    `Take ${dataDir}/root-keys away from this machine: three keys, two of which sign who may sign policies. Keep them in ` +
      "different places; they are needed only for `printgate central policy rotate`.",
  );
  terminal.result({ data: dataDir, hosts });
  return EXIT.ok;
}

async function serve(invocation: Invocation): Promise<number> {
  const { terminal, signal } = invocation;
  const listen = textOption(invocation, "listen") ?? DEFAULT_LISTEN;
  const [, ipv6, name, port] = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+)):([0-9]{1,5})$/.exec(listen) ?? [];
  if (port === undefined || Number(port) > 65_535) throw new CommandError("usage", "--listen takes ADDRESS:PORT");
  const [{ CentralServer }, { default: pino }] = await Promise.all([import("../central/server.ts"), import("pino")]);
  const log = pino({ base: null }, pino.destination({ dest: 2, sync: true }));
  const host = ipv6 ?? name ?? "";
  const server = await CentralServer.start({ dataDir: dataFolder(invocation), host, port: Number(port), log });
  terminal.line(`listening on ${server.url}`);
  terminal.result({ url: server.url, port: server.port });
  if (!signal.aborted) await once(signal, "abort");
  await server.stop();
  return EXIT.ok;
}

async function addJob(admin: Administration, invocation: Invocation, [file = ""]: readonly string[]) {
  const { terminal } = invocation;
  let [shown, step] = [0, 0];
  const ticket = ticketFrom(invocation);
  const hasPassword = invocation.options["job-password"] === true;
  const job = await admin.addJob({
    file,
    user: neededOption(invocation, "user"),
    title: textOption(invocation, "title"),
    format: textOption(invocation, "format"),
    expiresInMs: duration(textOption(invocation, "expires")),
    ticket,
    jobPassword: hasPassword ? await readSecret("job-password") : undefined,
    progress(bytes, of) {
      if (of < LARGE_BYTES) return;
      step = Math.floor((10 * bytes) / of);
      if (step > shown) terminal.note(`${step * 10} % of ${Math.round(of / 2 ** 20)} MiB stored`);
      shown = step;
    },
  });
  const expiresAt = iso(job.expiresAt);
  terminal.line(`job ${job.id} held until ${expiresAt} (${job.format}, ${job.size} bytes)`);
  return { ...job, expiresAt, ...(Object.keys(ticket).length === 0 ? {} : { ticket }) };
}

async function listJobs(admin: Administration, invocation: Invocation) {
  const { terminal, options } = invocation;
  const open = ["held", "claimed", "unsettled", "in-doubt"];
  const jobs = (await admin.jobs(textOption(invocation, "user")))
    .filter(({ state }) => options.all === true || open.includes(state))
    .map((job) => ({ ...job, submittedAt: iso(job.submittedAt), expiresAt: iso(job.expiresAt) }));
  for (const job of jobs) {
    const { id, user, state, title, size, agent, printer, expiresAt, reason, detail, ticket, hasPassword, account } =
      job;
    const where = agent === null ? "" : `  at ${agent}/${printer}`;
    const why = reason === null || reason === "none" ? "" : `: ${reason}${detail === null ? "" : ` (${detail})`}`;
    const pages = account === null ? "" : `  ${pagesOf(account)}`;
    terminal.line(
      `${id}  ${state.padEnd(9)}  ${user}  ${JSON.stringify(title)}  ${size} bytes  until ${expiresAt}${where}${why}${pages}`,
    );
    const wanted = [...(ticket === null ? [] : [ticketText(ticket)]), ...(hasPassword ? ["job-password"] : [])];
    if (wanted.length > 0) terminal.line(`    ${wanted.join(", ")}`);
  }
  if (jobs.length === 0) terminal.line("There are no jobs.");
  return { jobs };
}

function enableUser(enabled: boolean): Run {
  return administer(async (admin, { terminal }, [name = ""]) => {
    await admin.enableUser(name, enabled);
    terminal.line(`user ${name} ${enabled ? "enabled" : "disabled"}`);
    return { user: name, enabled };
  });
}

/** Opens the site, does the work, prints its result, and closes the site whatever happened. */
function administer(
  work: (admin: Administration, invocation: Invocation, words: readonly string[]) => Promise<object>,
): Run {
  return async (invocation, words) => {
    const { Administration } = await import("../central/administration.ts");
    const admin = await Administration.open(dataFolder(invocation), `admin:${userInfo().username}`);
    try {
      invocation.terminal.result(await work(admin, invocation, words));
      return EXIT.ok;
    } finally {
      await admin.close();
    }
  };
}

function dataFolder(invocation: Invocation): string {
  return textOption(invocation, "data") ?? process.env.PRINTGATE_CENTRAL_DATA ?? "printgate-central";
}

function neededOption(invocation: Invocation, name: string): string {
  const value = textOption(invocation, name);
  if (value === undefined) throw new CommandError("usage", `--${name} is needed`);
  return value;
}

const UNITS_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

function duration(written: string | undefined): number | undefined {
  if (written === undefined) return undefined;
  const [, count, unit = ""] = /^([1-9][0-9]{0,5})([smhd])$/.exec(written) ?? [];
  if (count === undefined) throw new CommandError("usage", "--expires takes a time such as 90s, 30m, 4h or 2d");
  return Number(count) * (UNITS_MS[unit] ?? 0);
}

const iso = (time: number): string => new Date(time).toISOString();
