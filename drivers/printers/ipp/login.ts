import { randomBytes } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { PrinterError } from "../../printer.ts";
import { type Answerable, answerable, authorization, type Login, parseChallenges } from "./auth.ts";

/** As many as CUPS sends; a wrong password costs fewer, because printers lock users. */
const MAX_TRIES = 3;
/** For so long after a printer took a login, it is not asked again before a document. */
const SETTLED_MS = 30_000;

/** The login at one printer: what the printer asked for last, and what is sent because of it. Nothing of it may be logged. */
export class PrinterLogin {
  readonly #login: Login | undefined;
  readonly #secure: boolean;
  #challenge: Answerable | undefined;
  #count = 0;
  #acceptedAt = Number.NEGATIVE_INFINITY;

  constructor(login: Login | undefined, secure: boolean) {
    this.#login = login;
    this.#secure = secure;
  }

  /** A document may go: there is no login, or it was taken a moment ago. A document that meets a 401 is lost for its job. */
  isSettled(now: number): boolean {
    return this.#login === undefined || now - this.#acceptedAt <= SETTLED_MS;
  }

  attempt(): LoginAttempt {
    return new LoginAttempt(this);
  }

  /** Undefined as long as the printer has not asked. */
  authorization(method: string, target: string): string | undefined {
    if (this.#login === undefined || this.#challenge === undefined) return undefined;
    this.#count += 1;
    const clientNonce = randomBytes(16).toString("base64url");
    return authorization(this.#challenge, this.#login, { method, target, count: this.#count, clientNonce });
  }

  accepted(headers: IncomingHttpHeaders, now: number): void {
    this.#acceptedAt = now;
    // RFC 7616 3.5: the nonce for the next request, from a printer that takes each only once.
    const info = headers["authentication-info"];
    if (this.#challenge?.scheme !== "digest" || typeof info !== "string") return;
    const nonce = parseChallenges(`Digest ${info}`)[0]?.parameters.get("nextnonce");
    if (nonce !== undefined) this.#take({ ...this.#challenge, nonce });
  }

  /** Takes what the printer asks for now. Returns whether that is a plain no to what was sent. */
  challenged(headers: IncomingHttpHeaders): { readonly isSameRealm: boolean; readonly isStale: boolean } {
    const before = this.#challenge;
    // What was refused is not sent again unless the printer asks for it.
    this.#challenge = undefined;
    this.#acceptedAt = Number.NEGATIVE_INFINITY;
    if (this.#login === undefined) throw new PrinterError("printer-auth-required", "HTTP 401");
    const challenges = parseChallenges(headers["www-authenticate"]);
    const challenge = answerable(challenges, this.#secure);
    if (challenge === undefined) {
      const schemes = challenges.map(({ scheme }) => scheme.slice(0, 20)).join(", ");
      throw new PrinterError("printer-auth-unsupported", schemes === "" ? "it names no scheme" : schemes);
    }
    this.#take(challenge);
    const isStale = challenge.scheme === "digest" && challenge.stale;
    return { isSameRealm: before?.scheme === challenge.scheme && before.realm === challenge.realm, isStale };
  }

  forget(): void {
    this.#challenge = undefined;
  }

  #take(challenge: Answerable): void {
    this.#challenge = challenge;
    this.#count = 0;
  }
}

/** The tries of one request. */
export class LoginAttempt {
  readonly #login: PrinterLogin;
  #refusals = 0;
  #sent: Answerable["scheme"] | undefined;

  constructor(login: PrinterLogin) {
    this.#login = login;
  }

  /** The header for the next try. */
  authorization(method: string, target: string): string | undefined {
    const value = this.#login.authorization(method, target);
    this.#sent = value === undefined ? undefined : value.startsWith("Basic ") ? "basic" : "digest";
    return value;
  }

  get sent(): boolean {
    return this.#sent !== undefined;
  }

  /** A 401 came. Returns if the request may be sent again; throws what a person has to know. */
  refused(headers: IncomingHttpHeaders): void {
    this.#refusals += 1;
    const { isSameRealm, isStale } = this.#login.challenged(headers);
    // A Digest nonce of an earlier request may just be forgotten, whatever the printer says; one that it gave a moment ago is not.
    const isWrong =
      this.#sent !== undefined && isSameRealm && !isStale && (this.#sent === "basic" || this.#refusals > 1);
    if (!isWrong && this.#refusals < MAX_TRIES) return;
    const scheme = this.#sent ?? "none";
    this.#login.forget();
    throw new PrinterError("printer-auth-refused", `HTTP 401 to ${scheme}`);
  }
}
