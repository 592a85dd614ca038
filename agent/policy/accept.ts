import type { OpenedPolicy } from "../protocol/policy.ts";
import type { PolicyCode } from "./policy-error.ts";

/** The highest policy that was ever accepted: root version first, then the policy's own. */
export interface Height {
  readonly root: number;
  readonly version: number;
  readonly hash: string;
}

/** What the agent knows of the time, in ms since the epoch. */
export interface Times {
  /** This machine's clock, which may be anything. */
  readonly wall: number;
  /** It is certainly not earlier: the build, or the latest signed time that was accepted. */
  readonly floor: number;
}

/** A clock may be ahead of the central server's by so much. */
const SKEW_MS = 24 * 3_600_000;
/** A clock that is further than this from the floor is wrong: no agent runs for so long without hearing a signed time. */
const LATEST_MS = 20 * 365 * 86_400_000;

/** Pure: false for a clock well before the floor (1970, at boot without a network) or absurdly after it (2100). */
export function isPlausible({ wall, floor }: Times): boolean {
  return wall >= floor - SKEW_MS && wall <= floor + LATEST_MS;
}

/** The time by which expiry is judged. An implausible clock decides nothing: what the floor proves is all that is known. */
const judgedBy = (times: Times): number => (isPlausible(times) ? Math.max(times.wall, times.floor) : times.floor);

/** Pure: `unknown` where the clock is implausible and even the floor does not prove that the time is over. */
export function expiryOf(policy: OpenedPolicy["policy"], times: Times): "valid" | "expired" | "unknown" {
  if (Date.parse(policy.expiresAt) <= judgedBy(times)) return "expired";
  return isPlausible(times) ? "valid" : "unknown";
}

/**
 * Pure: what becomes of a policy whose signature is good. Versions count under their root document and never go back;
 * one version has one content. An attacker who stole a policy key can use versions up, but only under the root that
 * names the key: the next root starts anew above all of them.
 */
export function judge(
  { policy, hash }: OpenedPolicy,
  rootVersion: number,
  height: Height | undefined,
  times: Times,
): "accepted" | "same" | PolicyCode {
  if (policy.root !== rootVersion) return "policy-other-root";
  const order = height === undefined ? 1 : policy.root - height.root || policy.version - height.version;
  if (order < 0) return "policy-older";
  if (order === 0) return hash === height?.hash ? "same" : "policy-twice";
  if (expiryOf(policy, times) === "expired") return "policy-expired";
  const issued = Date.parse(policy.issuedAt);
  const latest = isPlausible(times) ? times.wall + SKEW_MS : times.floor + LATEST_MS;
  return issued > latest ? "policy-from-future" : "accepted";
}
