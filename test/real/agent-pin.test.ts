import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { Agent } from "../../agent/agent.ts";
import { Administration } from "../../agent/central/administration.ts";
import { CentralServer } from "../../agent/central/server.ts";
import { loadConfig } from "../../agent/config/config.ts";
import { enrol } from "../../agent/demo/enrolled.ts";
import { VirtualMfd } from "../../agent/demo/mfd.ts";
import { VirtualReader } from "../../agent/demo/virtual-reader.ts";
import type { TapTrace } from "../../agent/release/trace.ts";
import { systemClock } from "../../drivers/clock.ts";
import type { Log } from "../../drivers/log.ts";
import type { Transport, TransportListener } from "../../drivers/transports/transport.ts";
import { until } from "./until.ts";

const CARD = "04A2B3C4D5";
/** Digits that occur nowhere by chance: no hash or key that is written holds one of them. */
const PIN = "7351902864";
const WRONG = "9827640315";
const ID = "2026004271839";

/** A USB numeric keypad as the kernel delivers it: each key a report with it, and one without. */
class VirtualKeypad implements Transport {
  #listener: TransportListener | undefined;

  async open(listener: TransportListener): Promise<void> {
    this.#listener = listener;
  }
  async write(): Promise<void> {}
  async close(): Promise<void> {
    this.#listener = undefined;
  }
  describe(): string {
    return "virtual keypad";
  }

  type(keys: string): void {
    for (const key of keys) {
      const usage = key === "*" ? 0x55 : key === "#" ? 0x58 : 0x59 + ((Number(key) + 9) % 10);
      this.#listener?.data(Uint8Array.of(0, 0, usage, 0, 0, 0, 0, 0));
      this.#listener?.data(new Uint8Array(8));
    }
  }
}

let folder: string;
let admin: Administration;
let central: CentralServer;
let mfd: VirtualMfd;
let agent: Agent;
const reader = new VirtualReader();
/** One after the other, because no person types as fast as a test, and a keypad that does is cut off. */
const keypads = Array.from({ length: 8 }, () => new VirtualKeypad());
let turn = 0;
const type = (keys: string): void => {
  turn += 1;
  keypads[turn % keypads.length]?.type(keys);
};
let log = "";
const memory = (): Log => {
  const add = (fields: object, message: string) => {
    log += `${JSON.stringify(fields)} ${message}\n`;
  };
  const one: Log = { debug: add, info: add, warn: add, error: add, child: () => one };
  return one;
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "printgate-pin-"));
  const dataDir = join(folder, "central");
  await Administration.create(dataDir);
  admin = await Administration.open(dataDir, "test");
  central = await CentralServer.start({ dataDir, log: memory(), limits: { pinBurst: 1000 } });
  mfd = await VirtualMfd.start({ clock: systemClock, printMs: 5 });
  await admin.addUser("ada", "Ada Lovelace");
  await admin.addCard("ada", CARD);
  await admin.setPin("ada", true, PIN);
  await admin.setId("ada", ID);
  const configPath = join(folder, "lobby.toml");
  const stateDir = join(folder, "state");
  await mkdir(stateDir, { mode: 0o700 });
  await enrol(admin, { url: `https://localhost:${central.port}`, stateDir, name: "lobby" });
  await writeFile(
    configPath,
    `[agent]
state_dir = ${JSON.stringify(stateDir)}
log_level = "debug"

[[printer]]
name = "mfd"
uri = "${mfd.uri}"
[[reader]]
name = "front"
family = "tcp-line"
printer = "mfd"
listen = "127.0.0.1:0"
repeat_hold_ms = 0
max_reads_per_10s = 10000
credentials = ["card", "card-pin", "id-pin"]
${keypads
  .map(
    (_, at) => `[[reader]]
name = "pad-${at}"
family = "hid-keyboard"
printer = "mfd"
vendor_id = 0x1
product_id = ${at}
keypad = "only"
keypad_of = "front"
`,
  )
  .join("")}`,
    { mode: 0o600 },
  );
  const transports = new Map<string, Transport>([
    ["front", reader],
    ...keypads.map((one, at) => [`pad-${at}`, one] as const),
  ]);
  agent = await Agent.start({ config: await loadConfig(configPath), log: memory(), transports });
  await reader.opened();
});
afterAll(async () => {
  await agent.stop();
  await central.stop();
  await admin.close();
  await mfd.stop();
  await rm(folder, { recursive: true });
});
beforeEach(() => admin.unlockUser("ada"));

async function submit(text: string): Promise<string> {
  const file = join(folder, "document.pdf");
  await writeFile(file, `%PDF-1.7 ${text}`);
  return (await admin.addJob({ file, user: "ada" })).id;
}

const stateOf = async (job: string) => (await admin.jobs("ada")).find(({ id }) => id === job)?.state;

/** The next tap that comes of what `cause` does, when all of it has ended. */
async function tapOf(cause: () => void): Promise<TapTrace> {
  const before = new Set(agent.loop.traces.map(({ tapId }) => tapId));
  cause();
  const trace = await until("the tap is there", () => agent.loop.traces.find(({ tapId }) => !before.has(tapId)));
  await agent.loop.idle();
  return trace;
}

test("a card that needs its PIN is answered by asking for it, and the keypad beside the reader completes it", async () => {
  const job = await submit("card and PIN");
  expect(await tapOf(() => reader.tap(CARD))).toMatchObject({ signal: "enter-pin", credential: "card", jobs: [] });
  expect(await stateOf(job)).toBe("held");
  expect(await tapOf(() => type(`12*${PIN}#`))).toMatchObject({ signal: "printed", credential: "card-pin" });
  expect(await stateOf(job)).toBe("printed");
});

test("number and PIN print without a card", async () => {
  const job = await submit("number and PIN");
  expect(await tapOf(() => type(`${ID}#${PIN}#`))).toMatchObject({ signal: "printed", credential: "id-pin" });
  expect(await stateOf(job)).toBe("printed");
});

test("a wrong PIN is denied, an unknown card is an unknown card, and five wrong PINs lock", async () => {
  const job = await submit("wrong PIN");
  expect(await tapOf(() => reader.tap("0123456789"))).toMatchObject({ signal: "unknown-card" });
  for (let n = 0; n < 5; n++) {
    await tapOf(() => reader.tap(CARD));
    expect(await tapOf(() => type(`${WRONG}#`))).toMatchObject({ signal: "denied" });
  }
  expect(await tapOf(() => type(`${ID}#${PIN}#`))).toMatchObject({ signal: "denied" });
  await admin.unlockUser("ada");
  expect(await tapOf(() => type(`${ID}#${PIN}#`))).toMatchObject({ signal: "printed" });
  expect(await stateOf(job)).toBe("printed");
});

test("a central server that is away is a fault, and the PIN is not kept for later", async () => {
  const job = await submit("away");
  await tapOf(() => reader.tap(CARD));
  await central.stop();
  expect(await tapOf(() => type(`${PIN}#`))).toMatchObject({ signal: "fault" });
  const { port } = central;
  central = await CentralServer.start({ dataDir: join(folder, "central"), port, log: memory() });
  const again = await tapOf(() => reader.tap(CARD));
  expect(again).toMatchObject({ signal: "enter-pin" });
  expect(await stateOf(job)).toBe("held");
  type("**");
});

test("no digit that was typed is in anything that agent or central server wrote or shows", async () => {
  // Everything that a person can type wrong, too.
  type(`${ID}${ID}#`);
  type(`${ID}#${PIN}`);
  type("**");
  type(`${WRONG}#123#`);
  await tapOf(() => type(`${WRONG}#${WRONG}#`));
  const shown = [log, JSON.stringify(agent.status()), JSON.stringify(await admin.audit(10_000))];
  const keys = agent.status().readers.map(({ counters }) => counters.keys ?? 0);
  expect(keys.reduce((sum, one) => sum + one)).toBeGreaterThan(100);
  expect(agent.status().counters).toMatchObject({ "entry-too-long": 1, "entry-too-short": 1, "entry-canceled": 2 });
  const files = await readdir(folder, { recursive: true, withFileTypes: true });
  for (const file of files.filter((entry) => entry.isFile())) {
    shown.push((await readFile(join(file.parentPath, file.name))).toString("latin1"));
  }
  const text = shown.join("\n").toLowerCase();
  const formsOf = (secret: string) => {
    const bytes = Buffer.from(secret);
    const hash = createHash("sha256").update(secret);
    return [secret, bytes.toString("hex"), bytes.toString("base64").slice(0, -3), hash.digest("hex")];
  };
  for (const secret of [PIN, WRONG, ID]) {
    for (const form of formsOf(secret)) expect(text).not.toContain(form.toLowerCase());
  }
  // The search itself finds what is there.
  expect(text).toContain("id-pin");
  expect(text).toContain("card-pin");
});
