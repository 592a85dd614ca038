import { describe, expect, it } from "vitest";
import { expiryOf, isPlausible, judge } from "../../../agent/policy/accept.ts";
import { openPolicy } from "../../../agent/protocol/policy.ts";
import { Root } from "../../../agent/protocol/root.ts";
import { DAY, iso, NOW, PolicyAuthority } from "./authority.ts";

const authority = new PolicyAuthority();
const root = Root.parse(authority.root(1));
const opened = (change: object = {}) => openPolicy(authority.policy({}, change), root);
const height = { root: 1, version: 5, hash: "0".repeat(64) };
const times = { wall: NOW, floor: NOW - 10 * DAY };

describe("versions", () => {
  it("only go up", () => {
    expect(judge(opened({ version: 6 }), 1, height, times)).toBe("accepted");
    expect(judge(opened({ version: 1 }), 1, undefined, times)).toBe("accepted");
    expect(judge(opened({ version: 4 }), 1, height, times)).toBe("policy-older");
  });

  it("have one content each", () => {
    const one = opened({ version: 5 });
    expect(judge(one, 1, { ...height, hash: one.hash }, times)).toBe("same");
    expect(judge(one, 1, height, times)).toBe("policy-twice");
  });

  it("count under their root: a new root recovers from versions that a thief used up", () => {
    const usedUp = { ...height, version: Number.MAX_SAFE_INTEGER };
    expect(judge(opened({ version: Number.MAX_SAFE_INTEGER }), 1, height, times)).toBe("accepted");
    expect(judge(opened({ version: 7 }), 1, usedUp, times)).toBe("policy-older");
    expect(judge(opened({ root: 2, version: 1 }), 2, usedUp, times)).toBe("accepted");
    expect(judge(opened({ version: 9 }), 1, { ...height, root: 2, version: 1 }, times)).toBe("policy-older");
  });

  it("mixed from two roots are refused", () => {
    expect(judge(opened({ root: 1, version: 9 }), 2, height, times)).toBe("policy-other-root");
    expect(judge(opened({ root: 3, version: 9 }), 2, height, times)).toBe("policy-other-root");
  });
});

describe("expiry", () => {
  const policy = opened();

  it("is judged by the clock where that is plausible", () => {
    expect(judge(policy, 1, undefined, { ...times, wall: NOW + 29 * DAY })).toBe("accepted");
    expect(judge(policy, 1, undefined, { ...times, wall: NOW + 30 * DAY })).toBe("policy-expired");
    expect(expiryOf(policy.policy, { ...times, wall: NOW + 31 * DAY })).toBe("expired");
  });

  it("is not decided by a clock in 1970, except where the floor proves it", () => {
    const wall = Date.UTC(1970, 0, 1);
    expect(isPlausible({ wall, floor: times.floor })).toBe(false);
    expect(judge(policy, 1, undefined, { wall, floor: times.floor })).toBe("accepted");
    expect(expiryOf(policy.policy, { wall, floor: times.floor })).toBe("unknown");
    expect(judge(policy, 1, undefined, { wall, floor: NOW + 30 * DAY })).toBe("policy-expired");
    expect(expiryOf(policy.policy, { wall, floor: NOW + 30 * DAY })).toBe("expired");
  });

  it("is not decided by a clock in 2100 either", () => {
    const wall = Date.UTC(2100, 0, 1);
    expect(isPlausible({ wall, floor: times.floor })).toBe(false);
    expect(judge(policy, 1, undefined, { wall, floor: times.floor })).toBe("accepted");
    expect(expiryOf(policy.policy, { wall, floor: times.floor })).toBe("unknown");
  });

  it("a clock a little behind the floor is no wrong clock, and the floor counts", () => {
    expect(isPlausible({ wall: NOW - 60_000, floor: NOW })).toBe(true);
    expect(expiryOf(policy.policy, { wall: NOW + 30 * DAY - 1, floor: NOW + 30 * DAY })).toBe("expired");
  });
});

it("a policy from the future is refused, with a good clock and with a bad one", () => {
  const far = { issuedAt: iso(Date.UTC(2100, 0, 1)), expiresAt: iso(Date.UTC(2101, 0, 1)) };
  expect(judge(opened(far), 1, undefined, times)).toBe("policy-from-future");
  expect(judge(opened(far), 1, undefined, { ...times, wall: 0 })).toBe("policy-from-future");
  const soon = { issuedAt: iso(NOW + DAY / 2) };
  expect(judge(opened(soon), 1, undefined, times)).toBe("accepted");
});
