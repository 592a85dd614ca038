import { createHash, createHmac, createPrivateKey } from "node:crypto";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, beforeAll, expect, test } from "vitest";
import { VirtualMfd } from "../../agent/demo/mfd.ts";
import { type Identity, IdentityFolder } from "../../agent/link/enrolment/identity.ts";
import { systemClock } from "../../drivers/clock.ts";
import { silentLog } from "../../drivers/log.ts";
import { type AgentProcess, printgate } from "./agent-process.ts";
import { Gate } from "./gate.ts";
import { type Installed, PERSON, Site } from "./site.ts";
import { until } from "./until.ts";

/** What the readers send for Ada's card and for a stranger's; their card numbers are the same bytes the other way round. */
const ADAS = "C0FFEE7AB1E501";
const STRANGERS = "BADC0FFEE0DD17";
/** Typed at the reader's keypad, which sends them as lines; and the number of the person, which the central server knows. */
const PIN = "7351902864";
const WRONG_PIN = "9827640315";
const PERSONAL_ID = "2026004271839";
const MALFORMED = "CANARY-READ-NOT-A-CARD";
/** The agent's own at the printer. */
const PASSWORD = "CANARY-AT-THE-PRINTER";
/** What its owner types at the printer's panel for a job of its own. */
const JOB_PASSWORD = "84620517";
const MARKER = "CANARY-IN-THE-DOCUMENT";
const DOCUMENT = Buffer.from(`%PDF-1.7 ${MARKER} `.repeat(40_000));

const reversed = (hex: string) => Buffer.from(hex, "hex").reverse().toString("hex").toUpperCase();

let site: Site;
let mfd: VirtualMfd;
let printer: Gate;
let installed: Installed;
let identity: Identity;
const agents: AgentProcess[] = [];
let centralLog = "";
/** What the command line said. */
const said: string[] = [];

const call = async (...args: string[]): Promise<number> => {
  const { code, stdout, stderr } = await printgate(args, [], join(site.folder, "compiled"));
  said.push(`${args.join(" ")}\n${stdout}\n${stderr}`);
  return code;
};

async function start(): Promise<AgentProcess> {
  const agent = await installed.start();
  agents.push(agent);
  return agent;
}

const submit = () => site.submit(DOCUMENT, "minutes.pdf");

beforeAll(async () => {
  const add = (fields: object, message: string) => {
    centralLog += `${JSON.stringify(fields)} ${message}\n`;
  };
  const log = { ...silentLog, debug: add, info: add, warn: add, error: add, child: () => log };
  site = await Site.start({ log });
  mfd = await VirtualMfd.start({ clock: systemClock, printMs: 10 });
  printer = await Gate.start(Number(new URL(mfd.uri).port));
  installed = await site.install({
    printer: `uri = "ipp://127.0.0.1:${printer.port}/ipp/print"\nuser = "kim"\npassword = "${PASSWORD}"`,
    agent: 'log_level = "debug"',
    readerLines: `credentials = ["card", "card-pin", "id-pin"]\npin_length = ${PIN.length}`,
    pipeline: "'regex(^;([0-9A-F]+)=) | hexDecode | reverseBytes | toHex(upper)'",
  });
  await site.administration.addCard(PERSON, reversed(ADAS));
  await site.administration.setPin(PERSON, false, PIN);
  await site.administration.setId(PERSON, PERSONAL_ID);
  identity = await new IdentityFolder(installed.stateDir).load();
});
afterAll(async () => {
  await site.stop();
  await printer.stop();
  await mfd.stop();
});

/** Every form in which a secret may turn up by accident. */
function formsOf(secret: string | Buffer): string[] {
  const bytes = Buffer.from(secret);
  const base64 = bytes.toString("base64").replace(/=+$/, "").slice(0, -1); // its last digit depends on what follows
  const text = typeof secret === "string" ? [secret] : [];
  return [...text, bytes.toString("hex"), base64, base64.replaceAll("+", "-").replaceAll("/", "_")];
}

/** A private key in PEM: a line of its base64, and the number itself. */
function formsOfKey(pem: string): string[] {
  const { d = "" } = createPrivateKey(pem).export({ format: "jwk" });
  const [, line = ""] = pem.split("\n");
  return [line, ...formsOf(Buffer.from(d, "base64url"))];
}

function canaries(): Record<string, string[]> {
  const numbers = [ADAS, reversed(ADAS), STRANGERS, reversed(STRANGERS)];
  const { cardKey } = identity.granted;
  const key = Buffer.from(cardKey, "base64url");
  const tokens = [ADAS, STRANGERS].map((raw) => createHmac("sha256", key).update(reversed(raw)).digest());
  return {
    "a card number": [
      ...[...numbers, MALFORMED].flatMap(formsOf),
      ...numbers.flatMap((number) => formsOf(Buffer.from(number, "hex"))),
      ...numbers.map((number) => BigInt(`0x${number}`).toString()),
    ],
    "a whole card token": tokens.flatMap(formsOf),
    "a PIN or a person's number": [PIN, WRONG_PIN, PERSONAL_ID].flatMap((secret) => [
      ...formsOf(secret),
      createHash("sha256").update(secret).digest("hex"),
    ]),
    "a key of the agent": Object.values(identity.keys).flatMap(formsOfKey),
    "the printer's password": formsOf(PASSWORD),
    "a job-password": [...formsOf(JOB_PASSWORD), createHash("sha512").update(JOB_PASSWORD).digest("hex")],
    "the card key": [...formsOf(key), cardKey],
    "the document": formsOf(MARKER),
  };
}

function find(where: string, bytes: Buffer, but: readonly string[] = []): string[] {
  const text = bytes.toString("latin1").toLowerCase();
  return Object.entries(canaries())
    .filter(([name]) => !but.includes(name))
    .filter(([, forms]) => forms.some((form) => text.includes(form.toLowerCase())))
    .map(([name]) => `${name} in ${where}`);
}

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

test("whatever happens, no card number, key or document byte is in anything that the agent wrote", async () => {
  let agent = await start();
  const tap = (raw: string) => agent.tap(`;${raw}=99?`);

  // Good, unknown and malformed reads.
  await submit();
  expect(await tap(ADAS)).toMatchObject({ signal: "printed" });
  expect(await tap(STRANGERS)).toMatchObject({ signal: "unknown-card" });
  expect(await agent.tap(MALFORMED)).toMatchObject({ code: expect.stringMatching(/^card-/) });
  await agent.send(`;${ADAS}\u0001${ADAS}${ADAS.repeat(200)}`);

  // A PIN that is needed, wrong, right, and one that nobody waits for.
  await site.administration.setPin(PERSON, true, PIN);
  await submit();
  expect(await tap(ADAS)).toMatchObject({ signal: "enter-pin" });
  expect(await agent.tap(WRONG_PIN)).toMatchObject({ signal: "denied", credential: "card-pin" });
  expect(await tap(ADAS)).toMatchObject({ signal: "enter-pin" });
  expect(await agent.tap(PIN)).toMatchObject({ signal: "printed", credential: "card-pin" });
  expect(await agent.tap(PIN)).toMatchObject({ code: expect.stringMatching(/^card-/) });
  await call("central", "user", "set-id", PERSON, "not a number", "--data", site.centralFolder);
  await site.administration.setPin(PERSON, false, PIN);

  // The printer: jammed, cut off in the middle of the document, away.
  await submit();
  mfd.jam();
  expect(await tap(ADAS)).toMatchObject({ signal: "printer-blocked" });
  mfd.clearJam();
  const held = printer.hold("toServer", ({ total }) => total > DOCUMENT.length / 2);
  const cut = tap(ADAS);
  await held;
  printer.cut();
  await cut;

  // A job-password: taken, too long for the printer, and one that no longer opens at the central server.
  await site.submit(DOCUMENT, "minutes.pdf", { jobPassword: JOB_PASSWORD, ticket: { copies: 2 } });
  expect(await tap(ADAS)).toMatchObject({ signal: "printed" });
  const typed = mfd.prints.at(-1)?.ticket.find(({ name }) => name === "job-password")?.values[0]?.value;
  expect(typed).toEqual(new Uint8Array(createHash("sha512").update(JOB_PASSWORD).digest()));
  const tooLong = await site.submit(DOCUMENT, "minutes.pdf", { jobPassword: JOB_PASSWORD.repeat(3) });
  expect(await tap(ADAS)).toMatchObject({ jobs: [{ jobId: tooLong.id, reason: "printer-ticket-unsupported" }] });
  const database = new DatabaseSync(join(site.centralFolder, "central.db"));
  database.prepare("UPDATE jobs SET job_password = zeroblob(284) WHERE id = ?").run(tooLong.id);
  database.close();
  expect(await tap(ADAS)).toMatchObject({ jobs: [{ jobId: tooLong.id, reason: "job-password-missing" }] });

  // A document whose bytes are not those of its manifest.
  const altered = await submit();
  const file = (await filesBelow(site.centralFolder)).find((name) => name.endsWith(altered.id));
  await writeFile(
    file ?? "",
    DOCUMENT.map((byte) => byte ^ 1),
  );
  await tap(ADAS);
  expect((await agent.status()).taps.at(-1)?.jobs).toContainEqual(
    expect.objectContaining({ reason: "document-altered" }),
  );
  await writeFile(file ?? "", DOCUMENT);

  // kill -9 in a transfer, and what the next start makes of it.
  const again = printer.hold("toServer", ({ total }) => total > DOCUMENT.length / 2);
  await agent.send(`;${ADAS}=99?`);
  await again;
  await agent.kill();
  printer.cut();
  agent = await start();
  await agent.atRest();

  // The central server: away, then one that does not know our key any more.
  await site.centralAway();
  expect(await tap(ADAS)).toMatchObject({ code: "link-unreachable" });
  await site.centralBack();
  await tap(STRANGERS);
  await site.administration.revokeAgent("lobby");
  expect(await tap(ADAS)).toMatchObject({ code: "link-revoked" });

  // The command line, beside the running agent and without it; a second agent; then files with faults at the keys.
  const config = ["--config", installed.configPath];
  await call("central", "job", "list", "--json", "--data", site.centralFolder);
  await call("central", "audit", "--json", "--data", site.centralFolder);
  for (const command of ["status", "doctor", "ledger show", "config check"]) {
    await call(...command.split(" "), ...config);
    await call(...command.split(" "), "--json", ...config);
  }
  expect(await call("run", ...config)).toBe(1);
  await until("the agent has said all", () => agent.stdout.includes("link-revoked"));
  expect(await agent.stop()).toMatchObject({ code: 0 });
  await call("status", "--json", ...config);
  const good = await readFile(installed.configPath, "utf8");
  const faults: [string, string][] = [
    ["[central]", `[central]\ncard_key = "${identity.granted.cardKey}"`],
    [`"${PASSWORD}"`, `"${PASSWORD}\\t"`],
    [`"${PASSWORD}"`, `["${PASSWORD}"]`],
    ["password = ", "pasword = "],
  ];
  for (const [right, wrong] of faults) {
    expect(good).toContain(right);
    const path = join(site.folder, "faulty.toml");
    await writeFile(path, good.replace(right, wrong), { mode: 0o600 });
    expect(await call("config", "check", "--config", path)).toBe(1);
    expect(await call("run", "--json", "--config", path)).toBe(1);
    expect(await call("doctor", "--config", path)).toBe(1);
    await writeFile(path, "", { mode: 0o600 });
  }

  const log = agents.map(({ stdout }) => stdout).join("");
  expect(log).toContain('"level":20'); // it was told to say everything
  const found = [
    ...find("the agent's log", Buffer.from(log)),
    ...find("the agent's stderr", Buffer.from(agents.map(({ stderr }) => stderr).join(""))),
    ...find("the command line's output", Buffer.from(said.join("\n"))),
    ...find("the central server's log", Buffer.from(centralLog)),
  ];
  const folder = join(installed.stateDir, "identity");
  // A damaged identity is told without a word of it.
  const identityFile = join(folder, "identity.json");
  const whole = await readFile(identityFile, "utf8");
  for (const damaged of [whole.slice(0, -40), whole.replace('"version": 1', '"version": 9')]) {
    await writeFile(identityFile, damaged, { mode: 0o600 });
    for (const command of ["run", "doctor"]) expect(await call(command, "--json", ...config)).toBe(1);
    await call("enrol", "--server", `https://localhost:${site.centralPort}`, ...config);
  }
  for (const path of await filesBelow(installed.stateDir))
    if (!path.startsWith(folder)) found.push(...find(path, await readFile(path)));
  for (const path of await filesBelow(site.centralFolder)) {
    if (path.startsWith(join(site.centralFolder, "keys"))) continue;
    // Documents and card tokens are what it is there for.
    const kept = path.startsWith(join(site.centralFolder, "documents")) ? ["the document"] : ["a whole card token"];
    found.push(...find(path, await readFile(path), kept));
  }
  expect(found).toEqual([]);
  // The search itself finds what is there.
  expect(find("the configuration", Buffer.from(good))).toHaveLength(1);
  expect(find("the identity", Buffer.from(whole))).toHaveLength(2);
  expect(find("a document", DOCUMENT)).toHaveLength(1);
  expect(find("a PIN", Buffer.from(`{"pin":"${WRONG_PIN}"}`))).toHaveLength(1);
  expect(find("a job-password", Buffer.from(JOB_PASSWORD))).toHaveLength(1);
}, 60_000);
