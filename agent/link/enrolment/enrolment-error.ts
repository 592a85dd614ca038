import { type CodeTable, codedError } from "../../../drivers/coded-error.ts";

export const ENROLMENT_CODES = {
  "identity-missing": {
    what: "This agent is not enrolled: it has no certificate of a central server.",
    next: "Run `printgate enrol --server https://HOST:PORT` as the agent's user.",
  },
  "identity-exists": {
    what: "This agent is enrolled already.",
    next: "To enrol it anew, run `printgate enrol` with --again; the old keys are kept until the new ones work.",
  },
  "identity-readable-by-others": {
    what: "Other users of this machine can read this agent's keys.",
    next: "Take their rights away: `chmod -R go-rwx` on the folder that the detail names; if they may have been read, enrol it anew.",
  },
  "identity-damaged": {
    what: "This agent's keys cannot be read.",
    next: "Restore the file that the detail names from a backup of this device, or enrol it anew with --again.",
  },
  "enrolment-over": {
    what: "Nobody approved this agent at the central server within 15 minutes.",
    next: "Run the command again: it shows a new claim code.",
  },
  "enrolment-server-changed": {
    what: "The central server shows other keys than it did before, or than --ca and --key-pin name.",
    next: "Check the address. If it is right, somebody may be in between: enrol in a network that you trust.",
  },
  "enrolment-approval-wrong": {
    what: "Whoever approved does not know this agent's claim code, or saw other keys: it is not the central server.",
    next: "Somebody may be in between: enrol in a network that you trust, or with --ca and --key-pin.",
  },
} as const satisfies CodeTable;

export class EnrolmentError extends codedError(ENROLMENT_CODES) {}
