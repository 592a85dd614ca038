import { type CodeTable, codedError } from "../../drivers/coded-error.ts";

export const POLICY_CODES = {
  "policy-older": {
    what: "The central server offers an older policy than one that this agent has already seen.",
    next: "If the server was restored from a backup, publish anew until its version is higher (`printgate central policy show` here and there); else find out who replays old policies.",
  },
  "policy-twice": {
    what: "The central server offers a second, different policy under a version that this agent knows.",
    next: "If the server was restored from a backup, publish once more; else its policy key is in wrong hands: rotate it with `printgate central policy rotate`.",
  },
  "policy-other-root": {
    what: "The central server offers a policy that was signed under another root document than the current one.",
    next: "Publish a policy; a server whose key was rotated does so by itself.",
  },
  "policy-expired": {
    what: "The policy's time is over.",
    next: "Check this machine's clock, then that the central server runs and that nobody keeps its new policies away.",
  },
  "policy-from-future": {
    what: "The central server offers a policy that says it was signed later than now.",
    next: "Compare the clocks of this machine and of the central server.",
  },
  "policy-none": {
    what: "The central server has no policy, or no root document where it needs one.",
    next: "Bring the central server to this version; a new one has a policy from the start.",
  },
  "policy-store-damaged": {
    what: "The stored policy was damaged and had to be fetched anew; older ones cannot be told from new ones until then.",
    next: "Check the SD card; the agent goes on with the first policy that the central server gives it.",
  },
  "policy-link-undone": {
    what: "The key pins of the policy were tried for a day, no connection by them worked, and they were dropped again.",
    next: "Correct `key_pins` in the policy, or install the key that they name on the central server, and publish once more.",
  },
} as const satisfies CodeTable;

export type PolicyCode = keyof typeof POLICY_CODES;

export class PolicyError extends codedError(POLICY_CODES) {}
