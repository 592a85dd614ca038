import { describe, expect, test } from "vitest";
import { LineDecoder } from "../../../../drivers/readers/line/decoder.ts";
import { GENERIC, withPreset } from "../../../../drivers/readers/line/presets.ts";
import { type LineChoices, PRESET_NAMES } from "../../../../drivers/readers/line/settings.ts";

describe("which setting holds", () => {
  test("generic is what is documented as the default", () => {
    expect(withPreset({})).toEqual({
      framing: "crlf",
      idleGapMs: 100,
      maxLength: 128,
      minLength: 4,
      checksum: "none",
      statusLetter: false,
      sentinels: "keep",
      baudRate: 9600,
      dataBits: 8,
      parity: "none",
      stopBits: 1,
    });
    expect(withPreset({ preset: "generic" })).toEqual(GENERIC);
  });

  test("a preset fills in what is left out, and a key that is given wins", () => {
    expect(withPreset({ preset: "id12" })).toMatchObject({ framing: "stx-etx", checksum: "id12", baudRate: 9600 });
    expect(withPreset({ preset: "id12", framing: "crlf", baudRate: 19_200, checksum: undefined })).toMatchObject({
      framing: "crlf",
      checksum: "id12",
      baudRate: 19_200,
    });
    expect(withPreset({ preset: "fat820w", statusLetter: false }).statusLetter).toBe(false);
  });

  test.each(PRESET_NAMES)("%s gives every setting", (preset) => {
    expect(Object.keys(withPreset({ preset })).sort()).toEqual(Object.keys(GENERIC).sort());
  });
});

/** Feeds all at once; gives the texts and the counters that are not zero. */
function decoded(choices: LineChoices, bytes: string) {
  const lines = new LineDecoder(choices);
  const texts = lines.push(Buffer.from(bytes, "latin1"), 0).map((read) => (read.kind === "text" ? read.text : ""));
  return { texts, counters: Object.fromEntries(Object.entries(lines.counters).filter(([, n]) => n > 0)) };
}

describe("ID-12 and RDM6300", () => {
  test.each([
    ["\x02100086F44426\x03", "100086F444"],
    ["\x023C00CE754CCB\x03", "3C00CE754C"],
    ["\x0262E3086CED08\r\n\x03", "62E3086CED"],
  ])("%j", (frame, card) => {
    expect(decoded({ preset: "id12" }, frame)).toEqual({ texts: [card], counters: { reads: 1 } });
  });

  test("the typing error of a published dump is refused", () => {
    expect(decoded({ preset: "id12" }, "\x02100026F44426\x03")).toEqual({ texts: [], counters: { badChecksum: 1 } });
  });
});

describe("FAT820W", () => {
  test("a read without its letter; read errors and time-outs are counted; anything else is none", () => {
    const frames = "\x02S5235092385=8\x03\x02E\x03\x02O\x03\x02X1234\x03\x02E1234\x03\x02S12\x03";
    expect(decoded({ preset: "fat820w" }, frames)).toEqual({
      texts: ["5235092385=8"],
      counters: { reads: 1, readError: 1, readTimeout: 1, noStatus: 2, tooShort: 1 },
    });
  });

  test("with sentinels in it", () => {
    const choices: LineChoices = { preset: "fat820w", sentinels: "strip" };
    expect(decoded(choices, "\x02S;5235092385=8?\x03\x02S;E?\x03")).toEqual({
      texts: ["5235092385=8"],
      counters: { reads: 1, readError: 1 },
    });
  });

  test("elsewhere such letters are characters of a read", () => {
    expect(decoded({ preset: "stx-etx" }, "\x02S5235092385\x03").texts).toEqual(["S5235092385"]);
  });
});

describe("magnetic stripe", () => {
  test("track 2 of three, of one, and of two bad ones", () => {
    const lines = [
      "%B123^Smith/Joann^9812101000?;112222333333444444444?",
      ";5235092385=8?",
      "%E?;22222222222222222222?+E?",
      "%11111111111111111111?;E?+3333333333333333333?",
      "%E?",
      "112222333333444444444?",
    ];
    expect(decoded({ preset: "magstripe" }, lines.map((line) => `${line}\r`).join(""))).toEqual({
      texts: ["112222333333444444444", "5235092385=8", "22222222222222222222"],
      counters: { reads: 3, readError: 2, noTrack: 1 },
    });
  });

  test("three full tracks fit", () => {
    const full = `%${"A".repeat(76)}?;${"1".repeat(37)}?+${"3".repeat(104)}?\r`;
    expect(decoded({ preset: "magstripe" }, full).texts).toEqual(["1".repeat(37)]);
  });

  test("with LRCs", () => {
    const choices: LineChoices = { preset: "magstripe", checksum: "lrc-track" };
    expect(decoded(choices, "%A?[;57019351?9\r;57019351?8\r")).toEqual({
      texts: ["57019351"],
      counters: { reads: 1, badChecksum: 1 },
    });
  });
});
