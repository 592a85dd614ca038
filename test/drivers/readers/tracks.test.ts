import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SENTINELS, takeTrack } from "../../../drivers/readers/tracks.ts";

// MagTek, port-powered swipe reader manual, page 9.
const GOOD = "%B123^Smith/Joann^9812101000?;112222333333444444444?";
const TRACK_2_BAD = "%11111111111111111111?;E?+3333333333333333333?";
const TRACK_2_GOOD = "%E?;22222222222222222222?+E?";

describe("what is delivered", () => {
  test.each([
    ["keep", GOOD, GOOD],
    ["keep", "04A2B3C4", "04A2B3C4"],
    ["track-1", GOOD, "B123^Smith/Joann^9812101000"],
    ["track-2", GOOD, "112222333333444444444"],
    ["track-2", TRACK_2_GOOD, "22222222222222222222"],
    ["track-3", TRACK_2_BAD, "3333333333333333333"],
    ["track-3", "!33333?", "33333"],
    ["strip", ";5235092385=8?", "5235092385=8"],
    ["strip", "%B1234?", "B1234"],
    ["strip", "*4234685818=6/", "4234685818=6"],
    ["strip", ";E1234?", "E1234"],
  ] as const)("%s of %s is %s", (sentinels, frame, text) => {
    expect(takeTrack(sentinels, frame)).toEqual({ text });
  });
});

describe("what is not", () => {
  test.each(["%E?", ";E?", "+E?", "%E?;E?", "%E?;E?+E?"])("%s is a read error whatever the setting", (frame) => {
    for (const sentinels of SENTINELS) expect(takeTrack(sentinels, frame)).toBe("readError");
  });

  test.each([
    ["track-2", TRACK_2_BAD, "readError"],
    ["track-1", TRACK_2_GOOD, "readError"],
    ["track-3", GOOD, "noTrack"],
    ["strip", GOOD, "noTrack"],
    // Its head or tail is missing: the rest could be another card's number.
    ["strip", "5235092385=8?", "noTrack"],
    ["strip", ";5235092385=8", "noTrack"],
    ["strip", "35092385=8", "noTrack"],
    ["track-2", "B123^Smith?;112222?", "noTrack"],
    ["track-2", ";112222?;33333?", "noTrack"],
    ["track-2", "%E?;112222?0", "noTrack"],
    ["strip", ";?", "noTrack"],
    ["strip", "*4234685818=6?", "noTrack"],
    ["strip", "*4234685818?/", "noTrack"],
    ["strip", "", "noTrack"],
  ] as const)("%s of %s: %s", (sentinels, frame, why) => {
    expect(takeTrack(sentinels, frame)).toBe(why);
  });
});

test("any text: what is delivered is the frame, or stands in it between two sentinels", () => {
  const text = fc.array(fc.constantFrom(..."%;+!*?/E19="), { maxLength: 40 }).map((characters) => characters.join(""));
  fc.assert(
    fc.property(fc.constantFrom(...SENTINELS), text, (sentinels, frame) => {
      const taken = takeTrack(sentinels, frame);
      if (typeof taken === "string") return;
      const between = frame.indexOf(`${taken.text}?`) > 0 || frame === `*${taken.text}/`;
      expect(sentinels === "keep" ? taken.text === frame : between && !taken.text.includes("?")).toBe(true);
    }),
  );
});

test("a frame of any length takes no long", () => {
  expect(takeTrack("strip", "%".repeat(100_000))).toBe("noTrack");
  expect(takeTrack("track-2", `${";?".repeat(50_000)}`)).toBe("noTrack");
});
