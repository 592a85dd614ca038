import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { CardError } from "../../../agent/cards/card-error.ts";
import { Keypad } from "../../../agent/release/keypad.ts";
import type { LoopContext } from "../../../agent/release/loop.ts";
import type { Log } from "../../../drivers/log.ts";
import type { Signal } from "../../../drivers/reader.ts";
import { atOnce, CARD, documentOf, type Life, settled, World } from "./world.ts";

const PIN = "735190";
const WRONG = "982764";
const ID = "20260042";
const RULES = { printer: "mfd", keyTimeoutMs: 10_000, entryTimeoutMs: 60_000 };

let world: World;
let logged = "";

beforeEach(async () => {
  world = await World.make();
  world.central.pins.set(CARD, PIN);
  world.central.ids.set(ID, CARD);
  logged = "";
});
afterEach(() => world.remove());

function start(
  credentials: readonly ("card" | "card-pin" | "id-pin")[],
  signal?: (signal: Signal) => void,
  more: Partial<LoopContext> = {},
) {
  const add = (fields: object, message: string) => {
    logged += `${JSON.stringify(fields)} ${message}\n`;
  };
  const log: Log = { debug: add, info: add, warn: add, error: add, child: () => log };
  const keypads = new Map([["reader", { ...RULES, credentials }]]);
  const told = signal === undefined ? {} : { signal: (_: string, one: Signal) => signal(one) };
  return world.start({ context: { keypads, log, ...told, ...more } });
}

const held = () => world.central.hold(CARD, documentOf(10_000));
const type = ({ loop }: Life, keys: string) => {
  for (const key of keys) loop.keys("reader", key, world.clock.monotonic());
};
const idle = ({ loop }: Life) => settled(world.clock, loop.idle());
const sent = () => world.central.credentials.map((credential) => Object.values(credential).join(" "));

/** Stops the agent; nothing that it wrote, or shows, has a digit that was typed. */
async function ended(life: Life): Promise<void> {
  await world.stop(life);
  expect(world.clock.pending).toBe(0);
  const shown = JSON.stringify([life.loop.traces, life.loop.counters, life.ledger.entries]);
  for (const secret of [PIN, WRONG, ID]) expect(logged + shown).not.toContain(secret);
}

test("card and PIN release: asked for by a light, sent as one credential, traced without a digit", async () => {
  const job = held();
  const life = await start(["card-pin"]);
  world.tap(life);
  expect(world.signals).toEqual(["enter-pin"]);
  expect([world.central.calls.includes("tap"), life.loop.traces]).toEqual([false, []]);
  type(life, `${PIN}#`);
  await idle(life);
  expect(sent()).toEqual([`card-pin ${CARD} ${PIN}`]);
  expect(world.signals).toEqual(["enter-pin", "accepted", "printed"]);
  expect(job.state).toBe("printed");
  expect(life.loop.traces).toMatchObject([{ credential: "card-pin", card: CARD.slice(0, 8), signal: "printed" }]);
  await ended(life);
});

test("number and PIN release without a card", async () => {
  const job = held();
  const life = await start(["card", "id-pin"]);
  type(life, `${ID}#${PIN}#`);
  await idle(life);
  expect(sent()).toEqual([`id-pin ${ID} ${PIN}`]);
  expect(world.signals).toEqual(["enter-pin", "accepted", "printed"]);
  expect(job.state).toBe("printed");
  expect(life.loop.traces[0]).toMatchObject({ credential: "id-pin" });
  expect(life.loop.traces[0]).not.toHaveProperty("card");
  await ended(life);
});

test.each([
  ["a wrong PIN", ["card-pin"], `${WRONG}#`, true],
  ["an unknown number", ["id-pin"], `9#${PIN}#`, false],
  ["a number's wrong PIN", ["id-pin"], `${ID}#${WRONG}#`, false],
] as const)("%s is told as denied, and nothing is printed", async (_, credentials, keys, card) => {
  const job = held();
  const life = await start(credentials);
  if (card) world.tap(life);
  type(life, keys);
  await idle(life);
  expect(world.signals).toEqual(["enter-pin", "denied"]);
  expect(job.state).toBe("held");
  await ended(life);
});

test("a card that needs its PIN: asked for where there is a keypad, denied where there is none", async () => {
  const job = held();
  world.central.pinRequired.add(CARD);
  const life = await start(["card", "card-pin"]);
  await world.tapToEnd(life);
  expect(world.signals).toEqual(["enter-pin"]);
  type(life, `${PIN}#`);
  await idle(life);
  expect(world.signals).toEqual(["enter-pin", "accepted", "printed"]);
  expect(sent()).toEqual([`card ${CARD}`, `card-pin ${CARD} ${PIN}`]);
  expect(job.state).toBe("printed");
  const ids = life.loop.traces.map(({ tapId }) => tapId);
  expect(new Set(ids).size).toBe(2);
  await ended(life);

  world.signals.length = 0;
  const plain = await world.start();
  await world.tapToEnd(plain);
  expect(world.signals).toEqual(["denied"]);
  await world.stop(plain);
});

test("who walks away from the keypad is forgotten after ten seconds, and the next person's keys are not a PIN", async () => {
  held();
  const life = await start(["card-pin"]);
  world.tap(life);
  type(life, PIN.slice(0, 3));
  world.clock.advance(9999);
  expect(world.signals).toEqual(["enter-pin"]);
  world.clock.advance(1);
  expect(world.signals).toEqual(["enter-pin", "denied"]);
  type(life, `${PIN}#`);
  await atOnce();
  expect(sent()).toEqual([]);
  expect(life.loop.counters).toMatchObject({ "entry-timed-out": 1, "entry-key-ignored": 7 });
  await ended(life);
});

test("a read that is no card is told at once, and no PIN is asked for", async () => {
  const toToken = () => {
    throw new CardError("card-no-match");
  };
  const life = await start(["card-pin"], undefined, { toToken });
  await world.tapToEnd(life);
  expect(world.signals).toEqual(["unknown-card"]);
  type(life, `${PIN}#`);
  expect(sent()).toEqual([]);
  await ended(life);
});

test("keys at a reader without a keypad are counted and go nowhere", async () => {
  const life = await world.start();
  life.loop.keys("reader", `${ID}#${PIN}#`, 0);
  await atOnce();
  expect(life.loop.counters).toEqual({ "entry-key-ignored": 1 });
  expect(sent()).toEqual([]);
  await world.stop(life);
});

test("an entry that is under way at the stop ends there", async () => {
  const life = await start(["card-pin"]);
  world.tap(life);
  type(life, PIN);
  await ended(life);
  type(life, "#");
  world.tap(life);
  expect(sent()).toEqual([]);
  expect(world.signals).toEqual(["enter-pin"]);
});

test.each([
  [
    "throws",
    () => {
      throw new Error("the reader broke");
    },
  ],
  // What its contract does not allow either: nobody waits for it.
  ["never ends", () => new Promise(() => {}) as unknown as undefined],
])("a reader whose signal %s costs no release", async (what, signal) => {
  const job = held();
  const life = await start(["card-pin"], signal);
  world.tap(life);
  type(life, `${PIN}#`);
  await idle(life);
  expect(job.state).toBe("printed");
  expect(life.loop.counters["signal-failed"] ?? 0).toBe(what === "throws" ? 3 : 0);
  await ended(life);
});

test("a flood of PINs is cut as one of cards is", async () => {
  world.central.faults.tap = Array.from({ length: 8 }, () => "hang" as const);
  const life = await start(["id-pin"]);
  for (let n = 0; n < 20; n++) type(life, `${ID}#${PIN}#`);
  await atOnce();
  expect(life.loop.counters["tap-flood"]).toBe(12);
  await ended(life);
});

test("digits that were sent or given up are overwritten in memory", async () => {
  held();
  const life = await start(["id-pin"]);
  const overwritten: string[] = [];
  const arrays = Object.getPrototypeOf(Uint8Array.prototype) as { fill(this: Uint8Array, value: number): Uint8Array };
  const { fill } = arrays;
  vi.spyOn(arrays, "fill").mockImplementation(function (this: Uint8Array, value: number) {
    if (/^[0-9]+$/.test(Buffer.from(this).toString())) overwritten.push(Buffer.from(this).toString());
    return fill.call(this, value);
  });
  type(life, `${WRONG}**${ID}#${PIN}#`);
  vi.restoreAllMocks();
  const parts = (text: string) => Array.from(text, (_, at) => text.slice(0, at + 1));
  expect(overwritten).toEqual([...parts(WRONG), ...parts(ID).slice(0, -1), ...parts(PIN).slice(0, -1), PIN, ID]);
  await idle(life);
  await ended(life);
});

test("a keypad that sends a line: with a PIN of known length it is the PIN while one is awaited, else a card", async () => {
  const job = held();
  const life = await start(["card-pin"], undefined, {
    keypads: new Map([["reader", { ...RULES, credentials: ["card-pin"], pinLength: PIN.length }]]),
  });
  const line = (text: string) => life.loop.read("reader", "mfd", { kind: "text", text }, world.clock.monotonic());
  line(PIN);
  line(`${PIN}0`);
  type(life, "7");
  expect(world.signals).toEqual(["enter-pin", "enter-pin"]);
  type(life, "*");
  line(PIN);
  await idle(life);
  expect(sent()).toEqual([`card-pin ${CARD} ${PIN}`]);
  expect(job.state).toBe("printed");
  await ended(life);
});

test("a card alone asks the central server no later at a reader with a keypad than at one without", async () => {
  const turnsUntilAsked = async (life: Life): Promise<number> => {
    const before = world.central.calls.length;
    world.tap(life);
    let turns = 0;
    for (; !world.central.calls.slice(before).includes("tap"); turns++) {
      if (turns > 100) expect.unreachable();
      await Promise.resolve();
    }
    return turns;
  };
  const plain = await world.start();
  const alone = await turnsUntilAsked(plain);
  await world.stop(plain);
  const life = await start(["card", "card-pin", "id-pin"]);
  expect([alone, await turnsUntilAsked(life)]).toEqual([1, 1]);
  await idle(life);
  await ended(life);
});

test("an answer that comes after the stop begins no entry", () => {
  const { clock } = world;
  const rules = { ...RULES, credentials: ["card", "card-pin"] as const };
  const keypad = new Keypad({ rules, clock, present() {}, signal() {}, count() {} });
  keypad.stop();
  keypad.pinNeeded("ab".repeat(32));
  expect(clock.pending).toBe(0);
});
