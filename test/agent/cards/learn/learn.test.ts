import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ofBytes } from "../../../../agent/cards/bits.ts";
import { CardError } from "../../../../agent/cards/card-error.ts";
import { type Learned, learn, type Pair } from "../../../../agent/cards/learn/learn.ts";
import { parsePipeline, toCardNumber } from "../../../../agent/cards/pipeline.ts";
import type { Read } from "../../../../drivers/reader.ts";
import { code, text } from "../card-reads.ts";
import { CARDS, ENCODINGS, type Encoding } from "./encodings.ts";

const card = (hex: string) => Uint8Array.fromHex(hex);

/** Nothing where it fails, as a refusal can differ in its code. */
function number(pipeline: string, read: Read): string | undefined {
  try {
    return toCardNumber(parsePipeline(pipeline), read);
  } catch (error) {
    if (error instanceof CardError) return undefined;
    throw error;
  }
}

const pairOf = ({ read, pipeline }: Encoding, bytes: Uint8Array): Pair => ({
  read: read(bytes),
  number: toCardNumber(parsePipeline(pipeline), read(bytes)),
});
const threePairs = (encoding: Encoding) => (CARDS[encoding.bytes] ?? []).map((hex) => pairOf(encoding, card(hex)));

/** Whether it does the same on cards that were not learned from: ordinary ones and some with zeros. */
function agrees(pipeline: string, encoding: Encoding): boolean {
  const byte = fc.oneof({ weight: 9, arbitrary: fc.nat(255) }, { weight: 1, arbitrary: fc.constantFrom(0, 255) });
  const bytes = fc.array(byte, { minLength: encoding.bytes, maxLength: encoding.bytes });
  return fc.sample(bytes, { numRuns: 100, seed: 7 }).every((held) => {
    const read = encoding.read(Uint8Array.from(held));
    return number(pipeline, read) === number(encoding.pipeline, read);
  });
}

const named = ENCODINGS.map((encoding) => [encoding.name, encoding] as const);

describe("three cards tell", () => {
  it("more than fifty encodings", () => expect(ENCODINGS.length).toBeGreaterThan(50));

  it.each(named)("%s", (_, encoding) => {
    const learned = learn(threePairs(encoding));
    expect(learned.pipelines.filter((pipeline) => agrees(pipeline, encoding))).toHaveLength(1);
    expect(learned.verdict).toBe(encoding.open ? "ambiguous" : "found");
    expect(learned.more).toBe(0);
  });

  it.each(named)("what fits turns each read into its number: %s", (_, encoding) => {
    const pairs = threePairs(encoding);
    for (const pipeline of learn(pairs).pipelines) {
      expect(pairs.map(({ read }) => number(pipeline, read))).toEqual(pairs.map((pair) => pair.number));
    }
  });

  it.each(named)("three cards at random always have it among what fits: %s", (_, encoding) => {
    // At random, as a site's cards are: three that are nearly all zeros leave too much open, and fast-check likes those.
    const bytes = fc.noBias(fc.uint8Array({ minLength: encoding.bytes, maxLength: encoding.bytes }));
    fc.assert(
      fc.property(fc.uniqueArray(bytes, { minLength: 3, maxLength: 3, selector: (held) => held.toHex() }), (held) => {
        const pairs = held.map((bytes) => pairOf(encoding, bytes));
        fc.pre(new Set(pairs.map((pair) => pair.number)).size > 1);
        fc.pre(new Set(pairs.map(({ read }) => JSON.stringify(read))).size > 2);
        const learned = learn(pairs);
        const found = learned.pipelines.some((pipeline) => agrees(pipeline, encoding));
        // A list that has an end may lose it, when cards at random are as alike as 000000, 000001 and 000002.
        expect(found || learned.more > 0).toBe(true);
      }),
      { numRuns: 8 },
    );
  });
});

describe("when several fit", () => {
  it.each(named.filter(([, { open }]) => open))("the card that it asks for decides: %s", (_, encoding) => {
    const pairs = threePairs(encoding);
    let learned = learn(pairs);
    for (let asked = 0; learned.verdict === "ambiguous" && asked < 6; asked += 1) {
      const { decider } = learned as Learned & { decider: NonNullable<Learned["decider"]> };
      expect(
        new Set(decider.numbers.map((made) => ("number" in made ? made.number : made.refused))).size,
      ).toBeGreaterThan(1);
      expect(decider.card).toMatch(/card/);
      // The person presents such a card, and the server knows its number.
      pairs.push({ read: decider.read, number: toCardNumber(parsePipeline(encoding.pipeline), decider.read) });
      learned = learn(pairs);
    }
    expect(learned.verdict).toBe("found");
    expect(learned.pipelines.filter((pipeline) => agrees(pipeline, encoding))).toHaveLength(1);
  });

  it("says what each of them makes of that card", () => {
    const pairs = ["04A2B3C4", "60A2B3C4"].map((raw) => ({ read: text(raw), number: raw.slice(2) }));
    expect(code(() => learn(pairs))).toBe("card-learn-input");
    const learned = learn([
      { read: text("4EA2B3C4"), number: "1319285700" },
      { read: text("5A00B3C4"), number: "1509995460" },
    ]);
    expect(learned.verdict).toBe("ambiguous");
    expect(learned.pipelines).toEqual(["hexDecode | toDec", "hexDecode | toDec(10)"]);
    const { card: special, numbers } = learned.decider ?? {};
    expect(special).toBe("a card whose UID or word has 00 in byte 1 of 4");
    expect(numbers).toEqual([
      { pipeline: "hexDecode | toDec", number: expect.stringMatching(/^[1-9][0-9]*$/) },
      { pipeline: "hexDecode | toDec(10)", number: expect.stringMatching(/^0[0-9]{9}$/) },
    ]);
  });

  it("calls the fields of a Wiegand word by their names", () => {
    const pair = (hex: string, number: string): Pair => ({
      read: { kind: "bits", bytes: card(hex), bitLength: 26 },
      number,
    });
    const learned = learn([
      pair("BB032180", "118-01603"),
      pair("32829CC0", "101-01337"),
      pair("7FFFFFC0", "255-65535"),
    ]);
    expect(learned.pipelines).toEqual([
      "{ wiegand(H10301,facility) | toDec | append(-) + wiegand(H10301,number) | toDec(5) }",
      "{ wiegand(H10301,facility) | toDec(3) | append(-) + wiegand(H10301,number) | toDec(5) }",
    ]);
    expect(learned.decider?.card).toBe("a card whose facility code is low");
  });

  it("takes the pipeline that checks the read for the better one", () => {
    const [encoding] = ENCODINGS.filter(({ name }) => name.startsWith("a sum behind"));
    expect(encoding && learn(threePairs(encoding)).pipelines).toEqual(["hexDecode | checksum(sum8) | toDec"]);
  });

  it("names an ordinary card where any one decides", () => {
    // Two cards whose bytes are the same from both ends.
    const learned = learn([
      { read: text("A1B2B2A1"), number: "2712842913" },
      { read: text("C3D4D4C3"), number: "3285505219" },
    ]);
    expect(learned.decider?.card).toBe("almost any other card");
    expect(learned.pipelines).toContain("hexDecode | toDec");
    expect(learned.pipelines).toContain("hexDecode | reverseBytes | toDec");
  });
});

describe("when nothing fits", () => {
  it("says how much was tried, and how the reads were taken", () => {
    const learned = learn([
      { read: text("04A2B3C4"), number: "1" },
      { read: text("703DF105"), number: "2" },
      { read: text("9EC85B60"), number: "3" },
    ]);
    expect(learned).toMatchObject({ verdict: "nothing", pipelines: [], more: 0 });
    expect(learned.tried.hypotheses).toBeGreaterThan(100);
    expect(learned.tried.readings).toEqual(["as it is", "hexDecode"]);
    expect(learned.decider).toBeUndefined();
    expect(learned.suspect).toBeUndefined();
  });

  it.each([0, 1, 2])("names pair %i when the others agree without it", (wrong) => {
    const encoding = ENCODINGS.find(({ name }) => name === "reversed decimal");
    if (encoding === undefined) throw new Error("the encoding is gone");
    const pairs = threePairs(encoding).map((pair, at) => (at === wrong ? { ...pair, number: "3300106757" } : pair));
    expect(learn(pairs)).toMatchObject({
      verdict: "nothing",
      suspect: { pair: wrong + 1, pipeline: expect.stringContaining("hexDecode | reverseBytes | toDec") },
    });
  });

  it("finds digits that the site puts in front of all numbers", () => {
    const learned = learn(
      ["04A2B3C4", "703DF105", "9EC85B60"].map((raw) => ({ read: text(raw), number: `77${BigInt(`0x${raw}`)}` })),
    );
    expect(learned).toMatchObject({ verdict: "found", pipelines: ["hexDecode | toDec | prepend(77)"] });
  });
});

describe("pairs that cannot be learned from", () => {
  const pair = (raw: string, number: string): Pair => ({ read: text(raw), number });
  it.each<[string, readonly Pair[]]>([
    ["none", []],
    ["one", [pair("04A2B3C4", "77771716")]],
    ["the same one twice", [pair("04A2B3C4", "77771716"), pair("04A2B3C4", "77771716")]],
    ["one card with two numbers", [pair("04A2B3C4", "77771716"), pair("04A2B3C4", "77771717")]],
    ["two cards with one number", [pair("04A2B3C4", "1"), pair("04A2B3C5", "1")]],
    ["an empty read", [pair("", "1"), pair("04A2B3C5", "2")]],
    ["an empty number", [pair("04", ""), pair("04A2B3C5", "2")]],
    ["a long read", [pair("0".repeat(513), "1"), pair("04A2B3C5", "2")]],
    ["a long number", [pair("04", "1".repeat(129)), pair("04A2B3C5", "2")]],
    ["two kinds", [pair("04", "1"), { read: ofBytes(card("05")), number: "2" }]],
    ["too many", Array.from({ length: 51 }, (_, at) => pair(`04A2${1000 + at}`, `${at}`))],
  ])("%s", (_, pairs) => expect(code(() => learn(pairs))).toBe("card-learn-input"));

  it("and garbage gives an answer or a CardError, soon", () => {
    const raw = fc.oneof(
      fc.string({ unit: fc.constantFrom(..."0123456789ABCDEFabc;:=?%, -\\()[]\x00\xe4"), minLength: 1, maxLength: 60 }),
      fc.string({ unit: fc.constantFrom(..."0123456789"), minLength: 1, maxLength: 60 }),
      fc.string({ unit: fc.constantFrom(..."01"), minLength: 1, maxLength: 512 }),
    );
    const bits = fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 128 }), fc.integer({ min: -4, max: 1024 })).map(
      ([bytes, bitLength]): Read => ({
        kind: "bits",
        bytes,
        bitLength: Math.min(bytes.length * 8, Math.max(1, bitLength)),
      }),
    );
    const reads = fc.oneof(
      fc.array(raw.map(text), { minLength: 2, maxLength: 5 }),
      fc.array(bits, { minLength: 2, maxLength: 5 }),
    );
    const somehow = fc.constantFrom<(read: Read) => string>(
      (read) => (read.kind === "text" ? read.text.slice(0, 100) : "1"),
      (read) => (read.kind === "bits" ? BigInt(`0x0${read.bytes.toHex()}`).toString().slice(0, 128) : "12"),
      (read) => JSON.stringify(read).slice(0, 100),
    );
    let slowest = 0;
    fc.assert(
      fc.property(reads, somehow, (some, make) => {
        const begin = performance.now();
        try {
          const learned = learn(some.map((read) => ({ read, number: make(read) })));
          for (const pipeline of learned.pipelines) parsePipeline(pipeline);
        } catch (error) {
          expect(error).toBeInstanceOf(CardError);
        }
        slowest = Math.max(slowest, performance.now() - begin);
      }),
      { numRuns: 150 },
    );
    expect(slowest).toBeLessThan(3000);
  });
});
