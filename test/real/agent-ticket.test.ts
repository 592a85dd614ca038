import { createHash } from "node:crypto";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { VirtualMfd } from "../../agent/demo/mfd.ts";
import { TEMPLATE } from "../../agent/demo/mfd-ticket.ts";
import { PolicySettings } from "../../agent/protocol/policy.ts";
import type { TicketAttributes } from "../../agent/protocol/ticket.ts";
import { systemClock } from "../../drivers/clock.ts";
import { attribute, enumeration, integer, keyword } from "../../drivers/printers/ipp/attributes.ts";
import { OPERATION, TAG } from "../../drivers/printers/ipp/tags.ts";
import { type AgentProcess, printgate } from "./agent-process.ts";
import { CARD, type Installed, pdf, Site } from "./site.ts";

const PASSWORD = "740193";
/** What the printer of the lobby lacks: it has no finisher. */
const PLAIN = TEMPLATE.map((one) => (one.name === "finishings-supported" ? enumeration(one.name, 3) : one));

let site: Site;
let lobby: AgentProcess;
let attic: AgentProcess;
let cellar: AgentProcess;
let plain: VirtualMfd;
let able: VirtualMfd;
let old: VirtualMfd;
let installed: Installed;

beforeAll(async () => {
  site = await Site.start();
  const clock = systemClock;
  plain = await VirtualMfd.start({ clock, printMs: 5, template: PLAIN });
  able = await VirtualMfd.start({ clock, printMs: 5 });
  old = await VirtualMfd.start({ clock, printMs: 5, template: PLAIN, withoutCreateJob: true });
  installed = await site.install({ printer: `uri = "${plain.uri}"` });
  lobby = await installed.start();
  attic = await (await site.install({ name: "attic", printer: `uri = "${able.uri}"` })).start();
  cellar = await (await site.install({ name: "cellar", printer: `uri = "${old.uri}"` })).start();
  await site.administration.publishPolicy(PolicySettings.parse({ ticket: { drop_at: ["cellar"] } }));
});
afterAll(async () => {
  await site.stop();
  await Promise.all([plain, able, old].map((mfd) => mfd.stop()));
});

const submit = (seed: string, ticket: TicketAttributes, jobPassword?: string) =>
  site.submit(pdf(seed, 5000), `${seed}.pdf`, { ticket, ...(jobPassword === undefined ? {} : { jobPassword }) });

test("a ticket arrives at the printer as IPP job attributes", async () => {
  await submit("whole", {
    ...{ copies: 2, sides: "two-sided-short-edge", "print-color-mode": "monochrome", "print-quality": 5 },
    "media-col": { "media-size": { "x-dimension": 21_000, "y-dimension": 29_700 }, "media-source": "main" },
    ...{ "orientation-requested": 4, "page-ranges": [{ lower: 1, upper: 2 }], "print-scaling": "fit" },
  });
  expect(await lobby.tap(CARD)).toMatchObject({ signal: "printed" });
  expect(plain.prints.at(-1)?.ticket).toEqual([
    integer("copies", 2),
    keyword("sides", "two-sided-short-edge"),
    attribute("media-col", TAG.begCollection, [
      attribute("media-size", TAG.begCollection, [integer("x-dimension", 21_000), integer("y-dimension", 29_700)]),
      keyword("media-source", "main"),
    ]),
    keyword("print-color-mode", "monochrome"),
    enumeration("print-quality", 5),
    enumeration("orientation-requested", 4),
    attribute("page-ranges", TAG.rangeOfInteger, { lower: 1, upper: 2 }),
    keyword("print-scaling", "fit"),
  ]);
});

test("what the printer cannot do holds the job with its reason, and another printer prints it", async () => {
  const printed = plain.prints.length;
  const created = plain.requests.get(OPERATION.createJob);
  const document = await submit("stapled", { copies: 2, finishings: [4] });
  const why = { reason: "printer-ticket-unsupported", detail: "finishings staple" };
  expect(await lobby.tap(CARD)).toMatchObject({
    signal: "printer-blocked",
    jobs: [{ jobId: document.id, word: "not printed", ...why }],
  });
  expect(plain.prints).toHaveLength(printed);
  expect(plain.requests.get(OPERATION.createJob)).toBe(created);
  const jobs = await site.administration.jobs();
  expect(jobs.at(-1)).toMatchObject({ id: document.id, state: "held", agent: "lobby", ...why });
  const cache = join(site.folder, "compiled");
  const ledger = await printgate(["ledger", "show", "--config", installed.configPath], [], cache);
  expect(ledger.stdout).toContain("not printed (printer-ticket-unsupported: finishings staple)");
  const status = await printgate(["status", "--config", installed.configPath], [], cache);
  expect(status.stdout).toContain("(not printed: printer-ticket-unsupported, finishings staple)");
  const listed = await printgate(["central", "job", "list", "--data", site.centralFolder], [], cache);
  expect(listed.stdout).toContain(
    "at lobby/mfd: printer-ticket-unsupported (finishings staple)\n    copies 2, finishings staple\n",
  );

  expect(await attic.tap(CARD)).toMatchObject({ signal: "printed" });
  expect(able.prints.at(-1)).toMatchObject({ sha256: document.sha256 });
  expect(able.prints.at(-1)?.ticket).toEqual([integer("copies", 2), enumeration("finishings", 4)]);
});

test("an agent that may drop prints the job without it, with Print-Job too", async () => {
  const document = await submit("dropped", { copies: 2, finishings: [4] });
  expect(await cellar.tap(CARD)).toMatchObject({ signal: "printed" });
  expect(old.prints.at(-1)).toMatchObject({ sha256: document.sha256 });
  expect(old.prints.at(-1)?.ticket).toEqual([integer("copies", 2)]);
});

test("a password arrives hashed, with the strongest hash that the printer offers", async () => {
  await submit("secret", {}, PASSWORD);
  expect(await attic.tap(CARD)).toMatchObject({ signal: "printed" });
  expect(able.prints.at(-1)?.ticket).toEqual([
    attribute("job-password", TAG.octetString, new Uint8Array(createHash("sha512").update(PASSWORD).digest())),
    keyword("job-password-encryption", "sha2-512"),
  ]);
});

test("a job without a ticket asks the printer for nothing", async () => {
  await site.submit(pdf("bare", 5000));
  expect(await attic.tap(CARD)).toMatchObject({ signal: "printed" });
  expect(able.prints.at(-1)?.ticket).toEqual([]);
});
