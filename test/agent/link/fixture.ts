import { afterAll, afterEach } from "vitest";
import { CentralLink } from "../../../agent/link/client.ts";
import type { CentralLinkOptions } from "../../../agent/link/link-options.ts";
import { codeOf } from "../../../drivers/coded-error.ts";
import type { Log } from "../../../drivers/log.ts";
import { Authority, type ServerIdentity } from "../../sim/authority.ts";
import { FakeClock } from "../../sim/clock.ts";
import { HostileServer, type SeenRequest } from "../../sim/tls-server.ts";

export const SPARE_PIN = "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
export const BOOT = "b007b007b007b007b007b007b007b007";
export const JOB = "11111111-1111-4111-8111-111111111111";
export const CLAIM = "22222222-2222-4222-8222-222222222222";

export const authority = new Authority();
export const identity = authority.issue();
/** The agent's own; the servers here do not ask for it unless a test makes them. */
export const client = (({ cert, key }) => ({ certificate: cert, key }))(authority.issue());

export const tap = {
  tapId: "33333333-3333-4333-8333-333333333333",
  at: "2026-01-01T00:00:00Z",
  reader: "front",
  printer: "hall",
  credential: { kind: "card", token: "ab".repeat(32) },
} as const;

export const outcome = {
  claimId: CLAIM,
  word: "printed",
  state: "DONE",
  reason: "none",
  at: "2026-01-01T00:00:05Z",
} as const;

export const refused = { result: "refused", tapId: tap.tapId, serverTime: "2026-01-01T00:00:00Z" } as const;
export const self = { name: "office-pi", serverTime: "2026-01-01T00:00:02Z" } as const;

/** Everything that was logged, as one text. */
export class Memory implements Log {
  text = "";
  readonly debug = (fields: object, message: string): void => this.#add(fields, message);
  readonly info = this.debug;
  readonly warn = this.debug;
  readonly error = this.debug;
  child(): Log {
    return this;
  }
  #add(fields: object, message: string): void {
    this.text += `${JSON.stringify(fields)} ${message}\n`;
  }
}

const stops: (() => Promise<unknown>)[] = [];
const stopAll = async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
};
afterEach(stopAll);
afterAll(stopAll);

/** Runs after the test, the latest first. */
export const atEnd = (stop: () => Promise<unknown>): void => void stops.push(stop);

export async function serverWith(
  script: (request: SeenRequest) => void = () => {},
  /** None for a server that speaks no TLS. */
  who: ServerIdentity | null = identity,
  options: Parameters<typeof HostileServer.start>[1] = {},
): Promise<HostileServer> {
  const server = await HostileServer.start(who ?? undefined, options);
  server.script = script;
  atEnd(() => server.stop());
  return server;
}

export function linkTo(server: { readonly url: string }, options: Partial<CentralLinkOptions> = {}) {
  const clock = new FakeClock();
  const log = new Memory();
  const link = new CentralLink({
    url: server.url,
    ca: authority.pem,
    keyPins: [SPARE_PIN, identity.pin],
    client,
    boot: BOOT,
    clock,
    log,
    ...options,
  });
  atEnd(() => link.stop());
  return { link, clock, log };
}

export async function drain(document: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of document) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** What a promise was rejected with; a value of it is a failure of the test. */
export function failure(
  promise: Promise<unknown>,
): Promise<Error & { readonly code: string; readonly detail: string }> {
  return promise.then(
    (value) => {
      throw new Error(`expected a rejection, got ${JSON.stringify(value)}`);
    },
    (error) => error,
  );
}

export const codeFrom = (promise: Promise<unknown>): Promise<string> => failure(promise).then(codeOf);
