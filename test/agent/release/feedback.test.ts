import fc from "fast-check";
import { expect, test } from "vitest";
import { CREDENTIAL_KINDS, WORDS, type Word } from "../../../agent/protocol/schema.ts";
import { signalForAnswer, signalForEnd, signalForFailure, signalForWait } from "../../../agent/release/feedback.ts";
import type { Release } from "../../../agent/release/machine.ts";
import { RELEASE_CODES } from "../../../agent/release/release-error.ts";
import { PRINTER_CODES } from "../../../drivers/printer.ts";
import { SIGNALS, type Signal } from "../../../drivers/reader.ts";

const ended = (word: Word, reason: string): Release => ({ phase: "DONE", failures: 0, end: { word, reason } });

test("`printed` is shown when the last job of the tap is out, not before", () => {
  const [first, second] = [{ jobId: "1", word: "printed" as const }, { jobId: "2" }];
  expect(signalForEnd(ended("printed", "none"), [first, second])).toBeUndefined();
  expect(signalForEnd(ended("printed", "none"), [first, { ...second, word: "printed" }])).toBe("printed");
  expect(signalForEnd(ended("printed", "none"), [first, { ...second, word: "unknown" }])).toBeUndefined();
});

test("what went wrong shows as the printer's or as a fault; a cancel at the panel shows nothing", () => {
  expect(signalForEnd(ended("not printed", "printer-blocked"), [])).toBe("printer-blocked");
  expect(signalForEnd(ended("unknown", "job-gone-at-printer"), [])).toBe("fault");
  expect(signalForEnd(ended("not printed", "canceled-at-printer"), [])).toBeUndefined();
  expect(signalForEnd({ phase: "SENT", failures: 0 }, [])).toBeUndefined();
});

const SENT: Release = { phase: "SENT", failures: 0 };

test("who waits for the printer is told so; who must do something at it is sent to its panel", () => {
  const trouble = "printer-busy";
  expect(signalForWait({ phase: "FETCHED", failures: 1, trouble })).toBe("printing-later");
  expect(signalForWait({ phase: "CLAIMED", failures: 1, trouble: "link-timeout" })).toBeUndefined();
  expect(signalForWait({ ...SENT, seen: "pending-held" })).toBe("see-panel");
  expect(signalForWait({ ...SENT, phase: "PRINTING", seen: "processing-stopped" })).toBe("see-panel");
  // The trouble is over by then.
  expect(signalForWait({ ...SENT, seen: "processing", trouble })).toBeUndefined();
  expect(signalForWait({ ...ended("unknown", trouble), seen: "pending-held" })).toBeUndefined();
});

test("a read that is no card looks like an unknown card", () => {
  expect(signalForFailure("card-pattern-mismatch")).toBe("unknown-card");
  expect(signalForFailure("printer-unreachable")).toBe("printer-blocked");
  expect(signalForFailure("link-timeout")).toBe("fault");
});

/** Every answer to every credential at every reader. */
const ANSWERED = ["accepted", "refused", "pin-needed"].flatMap((result) =>
  CREDENTIAL_KINDS.flatMap((credential) =>
    [0, 2].flatMap((jobs) =>
      [true, false].flatMap((asksForPin) =>
        [true, false].map((queued) => ({ result, credential, jobs, asksForPin, queued }) as const),
      ),
    ),
  ),
) as Parameters<typeof signalForAnswer>[0][];

test("a refusal is told by what was presented, whatever else holds", () => {
  const refused = ANSWERED.filter(({ result }) => result === "refused");
  const told = new Set(refused.map((one) => `${one.credential}: ${signalForAnswer(one)}`));
  expect([...told]).toEqual(["card: unknown-card", "card-pin: denied", "id-pin: denied"]);
});

test("a PIN is asked for after a card alone at a reader that takes it, and nowhere else", () => {
  for (const one of ANSWERED) {
    const asks = one.result === "pin-needed" && one.credential === "card" && one.asksForPin;
    expect(signalForAnswer(one) === "enter-pin").toBe(asks);
    if (one.result === "pin-needed" && !asks) expect(signalForAnswer(one)).toBe("denied");
  }
});

test("the answer of a tap whose jobs must wait says so", () => {
  const accepted = { result: "accepted", credential: "card", asksForPin: false } as const;
  expect(signalForAnswer({ ...accepted, jobs: 1, queued: true })).toBe("printing-later");
  expect(signalForAnswer({ ...accepted, jobs: 1, queued: false })).toBe("accepted");
  expect(signalForAnswer({ ...accepted, jobs: 0, queued: true })).toBe("no-jobs");
});

test("every signal is reachable, but the one for a release without the central server", () => {
  const reached = new Set<Signal | undefined>(ANSWERED.map(signalForAnswer));
  const codes = [...Object.keys(RELEASE_CODES), ...Object.keys(PRINTER_CODES), "link-timeout", "card-empty"];
  for (const code of codes) {
    reached.add(signalForFailure(code));
    for (const word of WORDS) reached.add(signalForEnd(ended(word, code), [{ jobId: "1", word }]));
  }
  for (const seen of ["pending-held", "processing"] as const) reached.add(signalForWait({ ...SENT, seen }));
  reached.delete(undefined);
  expect(SIGNALS.filter((signal) => !reached.has(signal))).toEqual(["offline-accepted"]);
});

test("any code and any end give a signal of the table, or none", () => {
  fc.assert(
    fc.property(fc.string(), fc.constantFrom(...WORDS), (code, word) => {
      expect(SIGNALS).toContain(signalForFailure(code));
      expect([...SIGNALS, undefined]).toContain(signalForEnd(ended(word, code), []));
    }),
  );
});
