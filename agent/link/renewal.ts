import { createPrivateKey, X509Certificate } from "node:crypto";
import type { Clock } from "../../drivers/clock.ts";
import type { Log } from "../../drivers/log.ts";
import type { CentralLink } from "./client.ts";
import { certificateRequest } from "./enrolment/csr.ts";
import { fits, type Identity, type IdentityFolder, newTlsKey } from "./enrolment/identity.ts";
import { LinkError } from "./link-error.ts";
import type { ClientIdentity } from "./settings.ts";

/** After a try that failed. The server takes five at once and one a minute. */
const AGAIN_MS = 3_600_000;
const AGAIN_EXPIRED_MS = 120_000;

/**
 * Pure: whether a certificate is to be renewed at `serverTime`. By the server's clock, because a Pi's may be wrong by years either way; the
 * server's word comes over a connection whose key is pinned, and it is the server that will refuse the certificate.
 */
export function isDue(certificate: string, serverTime: number): boolean {
  const { validFromDate, validToDate } = new X509Certificate(certificate);
  const [from, until] = [validFromDate.getTime(), validToDate.getTime()];
  return serverTime >= from + ((until - from) * 2) / 3;
}

export interface RenewalOptions {
  readonly folder: IdentityFolder;
  readonly identity: Identity;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Keeps the agent's certificate: a new key, its certificate, a connection by it that has worked, and only then is the old one forgotten.
 * Each step is on the disk before the next begins.
 *
 *   current ──due──► + next key ──certificate──► + next certificate ──a connection by it worked──► it is the current one
 *                        ▲                                 └──the server refuses it──► current, as before
 */
export class Renewal {
  readonly #folder: IdentityFolder;
  readonly #clock: Clock;
  readonly #log: Log;
  #identity: Identity;
  #link: CentralLink | undefined;
  #notBefore = Number.NEGATIVE_INFINITY;
  #work: Promise<void> | undefined;

  constructor({ folder, identity, clock, log }: RenewalOptions) {
    this.#folder = folder;
    this.#identity = identity;
    this.#clock = clock;
    this.#log = log;
  }

  get identity(): Identity {
    return this.#identity;
  }

  /** What to connect as. The next certificate, if it is there: the server may have seen it used before this device lost power. */
  get client(): ClientIdentity {
    return clientOf(this.#identity, "next") ?? clientOf(this.#identity, "current");
  }

  attach(link: CentralLink): void {
    this.#link = link;
  }

  /** What the link hears. Never rejects; one thing at a time. */
  heard(what: { readonly serverTime: number } | { readonly refusal: LinkError }): void {
    if (this.#work !== undefined || this.#clock.monotonic() < this.#notBefore) return;
    const work = "serverTime" in what ? this.#step(what.serverTime) : this.#refusal(what.refusal);
    if (work === undefined) return;
    this.#work = work
      .catch((error: unknown) => {
        this.#later(AGAIN_MS);
        const code = error instanceof LinkError ? error.code : String(error);
        this.#log.warn({ code }, "the certificate could not be renewed yet; the one before stays");
      })
      .finally(() => {
        this.#work = undefined;
      });
  }

  /** Resolves when nothing is under way any more; the link was stopped before. */
  async stop(): Promise<void> {
    this.#notBefore = Number.POSITIVE_INFINITY;
    await this.#work;
  }

  #later(ms: number): void {
    this.#notBefore = Math.max(this.#notBefore, this.#clock.monotonic() + ms);
  }

  #step(serverTime: number): Promise<void> | undefined {
    const { granted, next } = this.#identity;
    // Started with it: the answer that was just heard came to it.
    if (next?.certificate !== undefined) return this.#use();
    return isDue(granted.certificate, serverTime) ? this.#renew(serverTime) : undefined;
  }

  async #renew(serverTime: number): Promise<void> {
    const { granted } = this.#identity;
    const ended = new X509Certificate(granted.certificate).validToDate.getTime() <= serverTime;
    this.#later(ended ? AGAIN_EXPIRED_MS : AGAIN_MS);
    const tls = this.#identity.next?.tls ?? newTlsKey();
    if (this.#identity.next === undefined) await this.#save({ ...this.#identity, next: { tls } });
    const csr = certificateRequest(createPrivateKey(tls)).toString("base64url");
    const answer = await this.#link?.certificate(csr);
    if (answer === undefined) return;
    const { certificate } = answer;
    if (!fits(certificate, tls, granted.name) || isDue(certificate, serverTime)) {
      throw new LinkError("link-bad-reply", "a certificate that is not the one that was asked for");
    }
    await this.#save({ ...this.#identity, next: { tls, certificate } });
    await this.#use();
  }

  async #use(): Promise<void> {
    const next = clientOf(this.#identity, "next");
    if (next === undefined || this.#link === undefined) return;
    try {
      await this.#link.adopt(next);
    } catch (error) {
      if (error instanceof LinkError && error.code === "link-refused") return this.#revert();
      // The line is down: whether the server saw it used is not known, so both are kept and the next is tried again.
      this.#later(AGAIN_EXPIRED_MS);
      throw error;
    }
    const { next: _used, ...rest } = this.#identity;
    const keys = { ...rest.keys, tls: next.key };
    const granted = { ...rest.granted, certificate: next.certificate };
    await this.#save({ ...rest, keys, granted });
    const until = new X509Certificate(next.certificate).validToDate.toISOString();
    this.#log.info({ until }, "the certificate was renewed, and is in use");
  }

  /**
   * Only the next one can be put away: there is nothing behind the current one. Whose refusal this was is asked again, because it may
   * have been for what was still under way as the current one.
   */
  #refusal({ code }: LinkError): Promise<void> | undefined {
    const next = this.#identity.next?.certificate !== undefined;
    return next && code === "link-refused" ? this.#use() : undefined;
  }

  async #revert(): Promise<void> {
    const { next: _refused, ...rest } = this.#identity;
    await this.#save(rest);
    this.#later(AGAIN_MS);
    this.#log.warn({}, "the central server refuses the renewed certificate; the one before is used");
    await this.#link?.adopt(clientOf(rest, "current"));
  }

  async #save(identity: Identity): Promise<void> {
    await this.#folder.save(identity);
    this.#identity = identity;
  }
}

function clientOf(identity: Identity, which: "current"): ClientIdentity;
function clientOf(identity: Identity, which: "current" | "next"): ClientIdentity | undefined;
function clientOf({ keys, granted, next }: Identity, which: "current" | "next"): ClientIdentity | undefined {
  if (which === "current") return { certificate: granted.certificate, key: keys.tls };
  return next?.certificate === undefined ? undefined : { certificate: next.certificate, key: next.tls };
}
