import { expect, test } from "vitest";
import { summed } from "../../../agent/health/status.ts";

test("a failure that two parts count is in the status as often as it was counted", () => {
  expect(summed({ accepted: 2, "link-timeout": 1 }, {}, { "link-timeout": 3 })).toEqual({
    accepted: 2,
    "link-timeout": 4,
  });
});
