import type { Decoder, Keys, Read } from "../../drivers/reader.ts";
import { KeyboardDecoder } from "../../drivers/readers/hid-keyboard/decoder.ts";
import { LAYOUTS } from "../../drivers/readers/hid-keyboard/settings.ts";
import { LineDecoder } from "../../drivers/readers/line/decoder.ts";
import { FRAMINGS, type LineChoices } from "../../drivers/readers/line/settings.ts";
import { BootReports, keyboardReports } from "../../drivers/transports/hid-report.ts";
import type { Behaviour, Random, Target } from "./engine.ts";

/** Longer than any time-out of a decoder. */
const SILENCE_MS = 60_000;
const LONGEST_READ = 4096;

/** A decoder that listens only, the good input that it must read after any garbage, and what that gives. */
export interface Listening {
  readonly name: string;
  readonly make: () => Decoder;
  readonly good: readonly Uint8Array[];
  readonly read: string;
  /** Chunks of another size mean something else: reports of a keyboard. */
  readonly reportLength?: number;
}

/** As a target: never throws, stays bounded, counts, reads the same in any chunks, and reads the next good card. */
export function listening({ name, make, good, read, reportLength }: Listening): Target {
  return {
    name,
    seeds: [Buffer.concat(good)],
    run(input, random) {
      const decoder = make();
      const chunks = chunksOf(input, reportLength ?? 1 + random.below(40), random, reportLength !== undefined);
      const got = chunks.flatMap((chunk) => shown(decoder.push(chunk, 0)));
      if (reportLength === undefined) {
        const again = make();
        same(shown(again.push(input, 0)), got, "another chunking gives other reads");
      }
      got.push(...shown(decoder.expire(SILENCE_MS)));
      if (decoder.deadline !== undefined) throw new Error("waits for something after a long silence");
      const after = good.flatMap((chunk) => shown(decoder.push(chunk, 2 * SILENCE_MS)));
      after.push(...shown(decoder.expire(3 * SILENCE_MS)));
      // A keyboard whose last garbage held keys down: they must go up before they go down.
      if (reportLength === undefined) same(after, [read], "the next good card is not read");
      return behaviourOf(decoder, got);
    },
  };
}

export function chunksOf(input: Uint8Array, size: number, random: Random, exact: boolean): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < input.length; ) {
    const length = exact && random.below(50) > 0 ? size : 1 + random.below(size);
    chunks.push(input.subarray(at, at + length));
    at += length;
  }
  return chunks;
}

export function shown(reads: readonly (Read | Keys)[]): string[] {
  return reads.map(bounded);
}

function bounded(read: Read | Keys): string {
  switch (read.kind) {
    case "text":
      if (read.text.length > LONGEST_READ) throw new Error("a read without bounds");
      return read.text;
    case "bits":
      if (read.bytes.length > LONGEST_READ || read.bytes.length * 8 < read.bitLength) {
        throw new Error("a read without bounds");
      }
      return `${Buffer.from(read.bytes).toString("hex")}/${read.bitLength}`;
    case "keys":
      if (!/^[0-9*#]{1,64}$/.test(read.keys)) throw new Error("keys that are none");
      return `keys ${read.keys.length}`;
  }
}

export function same(got: readonly string[], wanted: readonly string[], broken: string): void {
  if (JSON.stringify(got) !== JSON.stringify(wanted)) {
    throw new Error(`${broken}: ${JSON.stringify(got)} instead of ${JSON.stringify(wanted)}`);
  }
}

/** Which counters moved, by order of magnitude, and how many reads came out. */
export function behaviourOf({ counters }: Decoder, reads: readonly string[]): Behaviour {
  const moved = Object.entries(counters).map(([name, count]) => {
    if (!Number.isSafeInteger(count) || count < 0) throw new Error(`${name} counts ${count}`);
    return count === 0 ? "" : `${name}${Math.ceil(Math.log2(count + 1))}`;
  });
  return `${moved.join(" ")} ${Math.min(reads.length, 4)}`;
}

const lineOf = (name: string, choices: LineChoices, text: string, read: string): Listening => ({
  name: `line-${name}`,
  make: () => new LineDecoder(choices),
  good: [Buffer.from(text, "latin1")],
  read,
});

/** On the keypad, which is the same in all layouts. */
const KEYS = [0x62, 0x5c, 0x59, 0x5a, 0x28];

const LISTENING: readonly Listening[] = [
  ...FRAMINGS.filter((framing) => framing !== "stx-etx").map((framing) =>
    lineOf(framing, { framing }, "04A2B3C4\r\n", "04A2B3C4"),
  ),
  lineOf("id12", { preset: "id12" }, "\x02100086F44426\x03", "100086F444"),
  lineOf("fat820w", { preset: "fat820w" }, "\x02S5235092385=8\x03", "5235092385=8"),
  lineOf("magstripe", { preset: "magstripe", checksum: "lrc-track" }, "%A?[;57019351?9\r", "57019351"),
  lineOf("sum8", { checksum: "sum8" }, "1234CA\r", "1234"),
  ...[
    ...LAYOUTS.map((layout) => ({ layout, keypad: "none" as const })),
    { layout: "us", keypad: "shared" } as const,
  ].map(
    ({ layout, keypad }): Listening => ({
      name: `hid-keyboard-${keypad === "shared" ? "keypad" : layout}`,
      make: () =>
        new KeyboardDecoder({
          layout,
          keypad,
          sentinels: "keep",
          terminators: ["enter", "keypad-enter"],
          interKeyTimeoutMs: 250,
          maxFrameMs: 3000,
          maxLength: 128,
          minLength: 4,
        }),
      good: KEYS.flatMap((key) => [Uint8Array.of(0, 0, key, 0, 0, 0, 0, 0), new Uint8Array(8)]),
      read: "0412",
      reportLength: 8,
    }),
  ),
];

const KEYBOARD_DESCRIPTOR = Buffer.from(
  "05010906a1018501050719e029e71500250175019508810295017508810195067508150026ff0005071900" +
    "29ff8100c005010906a1018506050719e029e7150025017501950881020507190429671500250175019564810295017504" +
    "8101c0050c0901a1018502150026ff0319002aff03751095018100c0",
  "hex",
);

/** A report descriptor, of which the rest is taken for reports. */
const DESCRIPTOR: Target = {
  name: "hid-descriptor",
  seeds: [Buffer.concat([KEYBOARD_DESCRIPTOR, Buffer.from("010200270000000000", "hex")])],
  run(input, random) {
    const reports = keyboardReports(input.subarray(0, KEYBOARD_DESCRIPTOR.length));
    if (reports === undefined) return "refused";
    const keys = new BootReports(reports);
    const lengths = chunksOf(input, 9, random, false).map((report) => keys.translate(report)?.length);
    if (lengths.some((length) => length !== undefined && length !== 0 && length !== 8))
      throw new Error("another layout");
    return `${reports.size} ${new Set(lengths).size}`;
  },
};

export const READER_TARGETS: readonly Target[] = [...LISTENING.map(listening), DESCRIPTOR];
