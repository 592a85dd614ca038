import { OPERATION, STATUS } from "../../drivers/printers/ipp/tags.ts";

/** What a request is about. */
export const TALKS = ["state", "create", "document", "look-up", "cancel", "validate"] as const;
export type Talk = (typeof TALKS)[number];

/** What the printer does to a request, or to its answer. */
export type WireAct =
  /** `deaf`: it does nothing and says nothing. `mute`: it does what is asked and says nothing. The connection stays open. */
  | { readonly does: "deaf" | "mute" }
  /** Does what is asked, and closes the connection in place of the answer. */
  | { readonly does: "hang-up" }
  /** Does what is asked; the answer is not to be used. An endless one goes on until the client leaves. */
  | { readonly does: "corrupt" | "wrong-id" | "endless-header" | "endless-body" }
  /** The answer comes one octet a packet. */
  | { readonly does: "one-byte" }
  /** Does nothing and answers with this status. */
  | { readonly does: "status"; readonly code: number }
  /** After so many octets of the document: resets the connection, or reads no more of it. */
  | { readonly does: "reset" | "stall"; readonly afterBytes: number }
  /** Reads the document at this speed. */
  | { readonly does: "slow"; readonly bytesPerS: number };

export type WireFault = WireAct & {
  /** All of them where absent. */
  readonly meets?: readonly Talk[];
  /** How many requests it meets; else all that come while it lasts. */
  readonly times?: number;
  /** ms from now; else until `heal`. */
  readonly forMs?: number;
};

/** What befalls the job that prints now, or the next one that does, when so many of its pages are out; before its last one at the latest. */
export type JobFault =
  | { readonly does: "jam"; readonly afterPages: number; readonly clearedAfterMs?: number }
  | { readonly does: "abort" | "cancel-at-panel"; readonly afterPages: number }
  /** Reported as completed with no further page; `counts`: what it says of its impressions. */
  | { readonly does: "lie"; readonly afterPages: number; readonly counts: "honest" | "all" };

export type DeviceFault =
  | JobFault
  /** The next document waits for its owner at the panel: for so long, or for ever. */
  | { readonly does: "hold-at-panel"; readonly releasedAfterMs?: number }
  /** Nothing listens; open connections break. */
  | { readonly does: "refuse-connections"; readonly forMs?: number }
  /** Connections are taken and closed at once; open ones break. */
  | { readonly does: "drop-connections"; readonly forMs?: number }
  /** Off and on: jobs and history are lost, ids begin again; `strangers`: as many jobs of others come first. */
  | { readonly does: "reboot"; readonly downMs?: number; readonly strangers?: number }
  /** Knows no job that has ended. */
  | { readonly does: "forget-history" }
  /** Prints what it got of a document that was cut, and calls it completed. */
  | { readonly does: "print-cut-documents" }
  | { readonly does: "busy" | "not-accepting" | "spool-full"; readonly forMs?: number };

export type MfdFault = WireFault | DeviceFault;

const SOON_MS = 20_000;
/** Longer than anybody waits for a printer. */
const LONG_MS = 3 * 3_600_000;

interface NamedFault {
  readonly what: string;
  readonly faults: readonly MfdFault[];
}

/**
 * The script: every way in which a printer is known to fail its client. Most were met by the users of CUPS (apple/cups #953: a
 * corrupt answer after the document; #669: a status poll that fails; #3810: a reboot while it waits; #4190: Send-Document
 * that fails; cups-browsed #75: a cancel at the panel); ippeveprinter calls a cut upload completed.
 */
export const MFD_FAULTS = {
  refuses: { what: "refuses connections for 20 s", faults: [{ does: "refuse-connections", forMs: SOON_MS }] },
  "refuses-long": { what: "is off the network for 3 h", faults: [{ does: "refuse-connections", forMs: LONG_MS }] },
  drops: {
    what: "takes connections and closes them, 20 s long",
    faults: [{ does: "drop-connections", forMs: SOON_MS }],
  },
  hangs: { what: "hears nothing for 20 s", faults: [{ does: "deaf", forMs: SOON_MS }] },
  frozen: { what: "hears nothing any more", faults: [{ does: "deaf" }] },
  "deaf-create": { what: "hangs before Create-Job, once", faults: [{ does: "deaf", meets: ["create"], times: 1 }] },
  "mute-create": { what: "hangs after Create-Job, once", faults: [{ does: "mute", meets: ["create"], times: 1 }] },
  "deaf-document": { what: "hangs before the document", faults: [{ does: "deaf", meets: ["document"] }] },
  stalls: {
    what: "hangs in the middle of the document",
    faults: [{ does: "stall", meets: ["document"], afterBytes: 9000 }],
  },
  "mute-document": { what: "hangs after the document", faults: [{ does: "mute", meets: ["document"] }] },
  "deaf-look-up": { what: "hangs before a look-up, once", faults: [{ does: "deaf", meets: ["look-up"], times: 1 }] },
  "deaf-state": { what: "hangs before its state", faults: [{ does: "deaf", meets: ["state"], times: 1 }] },
  "deaf-cancel": {
    what: "hangs before Cancel-Job, and resets the document",
    faults: [
      { does: "reset", meets: ["document"], times: 1, afterBytes: 9000 },
      { does: "deaf", meets: ["cancel"] },
    ],
  },
  resets: {
    what: "resets in the middle of the document",
    faults: [{ does: "reset", meets: ["document"], times: 1, afterBytes: 9000 }],
  },
  "resets-at-once": {
    what: "resets at the document's first octet",
    faults: [{ does: "reset", meets: ["document"], times: 1, afterBytes: 0 }],
  },
  "hangs-up-create": {
    what: "closes in place of the answer to Create-Job",
    faults: [{ does: "hang-up", meets: ["create"], times: 1 }],
  },
  "hangs-up-document": {
    what: "closes in place of the answer to the document",
    faults: [{ does: "hang-up", meets: ["document"], times: 1 }],
  },
  "hangs-up-look-up": {
    what: "closes in place of three answers to look-ups",
    faults: [{ does: "hang-up", meets: ["look-up"], times: 3 }],
  },
  "corrupts-create": {
    what: "answers Create-Job with garbage",
    faults: [{ does: "corrupt", meets: ["create"], times: 1 }],
  },
  "corrupts-document": {
    what: "answers the document with garbage",
    faults: [{ does: "corrupt", meets: ["document"], times: 1 }],
  },
  "corrupts-look-up": {
    what: "answers three look-ups with garbage",
    faults: [{ does: "corrupt", meets: ["look-up"], times: 3 }],
  },
  "corrupts-all": { what: "answers everything with garbage", faults: [{ does: "corrupt" }] },
  "wrong-id-create": {
    what: "answers Create-Job under another request-id",
    faults: [{ does: "wrong-id", meets: ["create"], times: 1 }],
  },
  "wrong-id-document": {
    what: "answers the document under another request-id",
    faults: [{ does: "wrong-id", meets: ["document"], times: 1 }],
  },
  "wrong-id-look-up": {
    what: "answers three look-ups under another request-id",
    faults: [{ does: "wrong-id", meets: ["look-up"], times: 3 }],
  },
  "one-byte": { what: "answers one octet a packet", faults: [{ does: "one-byte" }] },
  slow: { what: "reads the document at 1 kB/s", faults: [{ does: "slow", meets: ["document"], bytesPerS: 1000 }] },
  "endless-header": {
    what: "answers with a header that has no end, twice",
    faults: [{ does: "endless-header", times: 2 }],
  },
  "endless-body": {
    what: "answers with attributes that have no end, twice",
    faults: [{ does: "endless-body", times: 2 }],
  },
  "status-lost": { what: "hears no look-up for 2 min", faults: [{ does: "deaf", meets: ["look-up"], forMs: 120_000 }] },
  "status-lost-long": { what: "hears no look-up any more", faults: [{ does: "deaf", meets: ["look-up"] }] },
  aborts: { what: "gives the job up before it prints", faults: [{ does: "abort", afterPages: 0 }] },
  "aborts-late": { what: "gives the job up after two pages", faults: [{ does: "abort", afterPages: 2 }] },
  "jam-cleared": {
    what: "jams at page 3; cleared after 3 min",
    faults: [{ does: "jam", afterPages: 2, clearedAfterMs: 180_000 }],
  },
  "jam-stays": { what: "jams at page 3, for ever", faults: [{ does: "jam", afterPages: 2 }] },
  "jam-first-page": { what: "jams at page 1, for ever", faults: [{ does: "jam", afterPages: 0 }] },
  reboots: { what: "is switched off and on", faults: [{ does: "reboot", downMs: 5000 }] },
  "reboots-reused": {
    what: "is switched off and on, and others' jobs take its ids",
    faults: [{ does: "reboot", strangers: 40 }],
  },
  "lies-nothing": {
    what: "calls completed what it did not print",
    faults: [{ does: "lie", afterPages: 0, counts: "honest" }],
  },
  "lies-half": {
    what: "calls completed what it printed half of, and counts all",
    faults: [{ does: "lie", afterPages: 2, counts: "all" }],
  },
  "lies-cut": {
    what: "resets the document, prints its beginning and calls that completed",
    faults: [{ does: "print-cut-documents" }, { does: "reset", meets: ["document"], times: 1, afterBytes: 9000 }],
  },
  canceled: {
    what: "has its job canceled at the panel before it prints",
    faults: [{ does: "cancel-at-panel", afterPages: 0 }],
  },
  "canceled-late": {
    what: "has its job canceled at the panel after two pages",
    faults: [{ does: "cancel-at-panel", afterPages: 2 }],
  },
  "held-at-panel": {
    what: "waits 2 min for a release at the panel",
    faults: [{ does: "hold-at-panel", releasedAfterMs: 120_000 }],
  },
  "held-for-ever": { what: "waits for a release at the panel that never comes", faults: [{ does: "hold-at-panel" }] },
  busy: { what: "is busy for 20 s: somebody copies", faults: [{ does: "busy", forMs: SOON_MS }] },
  "busy-long": { what: "is busy for 3 h", faults: [{ does: "busy", forMs: LONG_MS }] },
  "temporary-error": {
    what: "has a temporary error for 20 s",
    faults: [{ does: "status", code: STATUS.temporaryError, meets: ["create", "document"], forMs: SOON_MS }],
  },
  "device-error": {
    what: "has a device error for 20 s",
    faults: [{ does: "status", code: STATUS.deviceError, meets: ["create", "document"], forMs: SOON_MS }],
  },
  unavailable: {
    what: "is unavailable for 20 s, whatever is asked",
    faults: [{ does: "status", code: STATUS.serviceUnavailable, forMs: SOON_MS }],
  },
  "internal-error": {
    what: "has an internal error at three look-ups",
    faults: [{ does: "status", code: STATUS.internalError, meets: ["look-up"], times: 3 }],
  },
  "not-accepting": { what: "accepts no jobs for 20 s", faults: [{ does: "not-accepting", forMs: SOON_MS }] },
  "spool-full": { what: "has a full spool for 20 s", faults: [{ does: "spool-full", forMs: SOON_MS }] },
  forgets: { what: "knows no job that has ended", faults: [{ does: "forget-history" }] },
} as const satisfies Readonly<Record<string, NamedFault>>;

export type MfdFaultName = keyof typeof MFD_FAULTS;
export const MFD_FAULT_NAMES = Object.keys(MFD_FAULTS) as readonly MfdFaultName[];

const TALK_OF: ReadonlyMap<number, Talk> = new Map([
  [OPERATION.getPrinterAttributes, "state"],
  [OPERATION.validateJob, "validate"],
  [OPERATION.createJob, "create"],
  [OPERATION.printJob, "document"],
  [OPERATION.sendDocument, "document"],
  [OPERATION.getJobs, "look-up"],
  [OPERATION.getJobAttributes, "look-up"],
  [OPERATION.cancelJob, "cancel"],
]);

export function talkOf(operation: number): Talk | undefined {
  return TALK_OF.get(operation);
}

const WIRE: ReadonlySet<string> = new Set<WireAct["does"]>([
  ...(["deaf", "mute", "hang-up", "corrupt", "wrong-id", "endless-header", "endless-body", "one-byte"] as const),
  ...(["status", "reset", "stall", "slow"] as const),
]);

export function isWireFault(fault: MfdFault): fault is WireFault {
  return WIRE.has(fault.does);
}

/** The faults of the wire that are on, and which request meets which: the oldest that fits. */
export class WireFaults {
  #on: { readonly fault: WireFault; readonly until: number; left: number }[] = [];

  add(fault: WireFault, now: number): void {
    const { forMs = Number.POSITIVE_INFINITY, times = Number.POSITIVE_INFINITY } = fault;
    this.#on.push({ fault, until: now + forMs, left: times });
  }

  clear(): void {
    this.#on = [];
  }

  meet(operation: number, now: number): WireAct | undefined {
    const talk = talkOf(operation);
    const met = this.#on.find(
      ({ fault, until, left }) =>
        left > 0 && now < until && (fault.meets === undefined || (talk !== undefined && fault.meets.includes(talk))),
    );
    if (met !== undefined) met.left -= 1;
    return met?.fault;
  }
}
