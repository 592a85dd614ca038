import type { Clock } from "../../drivers/clock.ts";
import type { Log } from "../../drivers/log.ts";
import type { LinkCode, LinkError } from "./link-error.ts";
import type { LinkSettings } from "./settings.ts";

/** In ms; each covers a retry too. */
export interface Deadlines {
  readonly connect: number;
  readonly tap: number;
  readonly outcome: number;
  readonly lease: number;
  readonly claims: number;
  readonly self: number;
  readonly certificate: number;
  readonly policy: number;
  readonly root: number;
  readonly eventsHead: number;
  readonly documentHead: number;
  readonly documentPiece: number;
}

export const DEADLINES: Deadlines = {
  connect: 5_000,
  tap: 5_000,
  outcome: 10_000,
  lease: 5_000,
  claims: 10_000,
  self: 5_000,
  certificate: 15_000,
  policy: 10_000,
  root: 10_000,
  eventsHead: 10_000,
  documentHead: 10_000,
  documentPiece: 15_000,
};

export interface CentralLinkOptions extends LinkSettings {
  readonly clock: Clock;
  readonly log: Log;
  readonly deadlines?: Partial<Deadlines>;
  /** Hears the server's time, in ms since the epoch, with each answer that holds it, or why the server will not have this agent. */
  readonly heard?: (what: { readonly serverTime: number } | { readonly refusal: LinkError }) => void;
  /** While pins are on trial: called with the pin of each connection on which the server gave an answer. */
  readonly worked?: (pin: string) => void;
}

export interface LinkState {
  /** `connected`: the last exchange got an answer of the central server that can be used. */
  readonly status: "connected" | "disconnected" | "unknown";
  /** Of the status, in ms since the epoch by this machine's clock; `at` too. */
  readonly since: number;
  readonly lastError?: { readonly code: LinkCode; readonly detail: string; readonly at: number };
  /** From a request on an open connection to its whole answer, in ms. */
  readonly roundTripMs?: number;
  /** What to add to this machine's clock to get the server's, in ms; good to half a round trip. */
  readonly clockOffsetMs?: number;
}

export type LinkCounters = Readonly<Record<LinkCode | "requests" | "retries" | "connections", number>>;

/** What the link asks the server. */
export type Operation =
  | "tap"
  | "outcome"
  | "lease"
  | "claims"
  | "self"
  | "certificate"
  | "policy"
  | "root"
  | "events"
  | "document";
