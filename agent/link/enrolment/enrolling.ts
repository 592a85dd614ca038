import { createPrivateKey, createPublicKey, X509Certificate } from "node:crypto";
import { type Clock, pause } from "../../../drivers/clock.ts";
import { inspectTls, KEY_PIN, type PeerTrust } from "../../../drivers/transports/tls.ts";
import {
  approvalProof,
  claimKey,
  digestOf,
  fingerprintOf,
  isProof,
  newClaimCode,
  requestProof,
} from "../../protocol/claim.ts";
import {
  CARD_KEY_PURPOSE,
  EnrolmentAnswer,
  EnrolmentContent,
  EnrolmentOffer,
  type EnrolmentRequest,
} from "../../protocol/enrolment.ts";
import { BOOT_HEADER, paths } from "../../protocol/paths.ts";
import { AgentSelf } from "../../protocol/schema.ts";
import { openSealed, rawOf } from "../../protocol/sealed.ts";
import { connectErrorOf, LinkError } from "../link-error.ts";
import { addressOf } from "../settings.ts";
import { ask } from "./ask.ts";
import { certificateRequest } from "./csr.ts";
import { EnrolmentError } from "./enrolment-error.ts";
import { fits, type Granted, type Identity, type IdentityFolder, newDeviceKeys, type Trust } from "./identity.ts";
import { type Input, next, type State, Unfinished } from "./machine.ts";

const POLL_MS = 2_000;
const CONNECT_MS = 10_000;

export interface EnrollingOptions {
  readonly folder: IdentityFolder;
  readonly url: string;
  /** What the operator knows of the server beforehand. */
  readonly preset?: { readonly ca: string; readonly keyPins: readonly string[] };
  /** A device that is enrolled is enrolled anew. */
  readonly again: boolean;
  readonly boot: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Called when a person is to compare and approve; again after a restart. */
  readonly shown: (waiting: { readonly code: string; readonly fingerprint: string }) => void | Promise<void>;
  /** A step failed and is tried again. */
  readonly trouble: (error: LinkError) => void;
}

/** The runner of the machine: does its effects, keeps its states. */
export class Enrolling {
  readonly #options: EnrollingOptions;

  constructor(options: EnrollingOptions) {
    this.#options = options;
  }

  /**
   * Goes on where an earlier run stopped, until the agent is enrolled. Rejects with an `EnrolmentError`, a `LinkError` or a
   * `StorageError`; a server that is away while a person is waited for is asked again.
   */
  async run(): Promise<Identity> {
    const { folder } = this.#options;
    let state = await this.#begin();
    for (;;) {
      if (state.step === "enrolled") {
        await folder.save(state.identity);
        await folder.dropUnfinished();
        return state.identity;
      }
      state = next(state, await this.#do(state));
      if (state.step === "new") {
        await folder.dropUnfinished();
        throw new EnrolmentError("enrolment-over");
      }
      if (state.step !== "enrolled") await folder.saveUnfinished(state);
    }
  }

  /** An attempt for another server, or with other things known beforehand, is not gone on with. `identity-exists` */
  async #begin(): Promise<State> {
    const { folder, url, preset, again } = this.#options;
    const enrolled = await folder.find().catch((error: unknown) => {
      if (again && error instanceof EnrolmentError && error.code === "identity-damaged") return undefined;
      throw error;
    });
    const unfinished = await folder.unfinished(Unfinished);
    const attempt = unfinished?.attempt;
    // Power was lost between the last two writes.
    if (enrolled !== undefined && enrolled.keys.tls === attempt?.keys.tls)
      return { step: "enrolled", identity: enrolled };
    if (enrolled !== undefined && !again) throw new EnrolmentError("identity-exists", enrolled.granted.name);
    const same = attempt?.url === url && JSON.stringify(attempt.preset) === JSON.stringify(preset);
    return unfinished !== undefined && same ? unfinished : { step: "new" };
  }

  async #do(state: State): Promise<Input> {
    const { url, preset } = this.#options;
    switch (state.step) {
      case "new": {
        const attempt = { url, code: newClaimCode(), keys: newDeviceKeys() };
        const known = preset && { ca: preset.ca, keyPins: [...preset.keyPins] };
        return { kind: "keys", attempt: known === undefined ? attempt : { ...attempt, preset: known } };
      }
      case "keyed":
        return { kind: "offer", offer: await this.#offer() };
      case "offered":
      case "requested":
        return this.#ask(state);
      case "approved":
        return this.#patiently(() => this.#use(state));
      case "enrolled":
        return { kind: "used" };
    }
  }

  /**
   * What the server asks to be trusted by. Without a preset nothing of it is believed yet, but it must be true in itself: the key that
   * answers is among the pins, and its certificate is of that CA and for this host. From here on only that is spoken to.
   */
  async #offer(): Promise<Trust> {
    const { preset, signal, url } = this.#options;
    const { peer } = addressOf(url);
    let trust: PeerTrust;
    if (preset !== undefined) trust = preset;
    else {
      const seen = await inspectTls(peer, [], CONNECT_MS, signal).catch((error: unknown) => {
        throw connectErrorOf(error);
      });
      trust = { keyPins: [seen.keyPin] };
    }
    const offer = await ask(this.#asked(trust), "GET", paths.enrolment, EnrolmentOffer);
    const certificate = certificateOf(offer.ca);
    const pinned = offer.keyPins.every((pin) => KEY_PIN.test(pin)) && new Set(offer.keyPins).size >= 2;
    if (certificate === undefined || !pinned) throw new LinkError("link-bad-reply", "an offer that nobody can trust");
    if (preset !== undefined) {
      const same = certificateOf(preset.ca)?.raw.equals(certificate.raw) === true;
      if (!same || !preset.keyPins.every((pin) => offer.keyPins.includes(pin))) {
        throw new EnrolmentError("enrolment-server-changed");
      }
    }
    const confirmed = await ask(this.#asked(offer), "GET", paths.enrolment, EnrolmentOffer);
    if (JSON.stringify(confirmed) !== JSON.stringify(offer)) throw new EnrolmentError("enrolment-server-changed");
    return offer;
  }

  async #ask({ step, attempt, offer }: Extract<State, { step: "offered" | "requested" }>): Promise<Input> {
    const { shown } = this.#options;
    const { code, keys } = attempt;
    const tlsKey = createPrivateKey(keys.tls);
    const publicTls = createPublicKey(tlsKey).export({ type: "spki", format: "der" });
    const [signingKey, sealingKey] = [rawPublic(keys.signing), rawPublic(keys.sealing)];
    const digest = digestOf({ tlsKey: publicTls, signingKey, sealingKey, ...offer });
    const key = await claimKey(code, publicTls);
    const request: EnrolmentRequest = {
      csr: certificateRequest(tlsKey).toString("base64url"),
      ...{ signingKey, sealingKey },
      proof: requestProof(key, digest).toString("base64url"),
    };
    const once = async (): Promise<Input | undefined> => {
      const answer = await ask(this.#asked(offer), "POST", paths.enrolments, EnrolmentAnswer, request);
      if (answer.state === "pending") return step === "offered" ? { kind: "pending" } : undefined;
      const bytes = Buffer.from(answer.content, "base64url");
      if (!isProof(answer.proof, approvalProof(key, digest, bytes))) {
        throw new EnrolmentError("enrolment-approval-wrong");
      }
      return { kind: "approved", granted: this.#granted(bytes, attempt.keys) };
    };
    try {
      if (step === "offered") return (await once()) ?? { kind: "pending" };
      await shown({ code, fingerprint: await fingerprintOf(digest) });
      return await this.#patiently(once);
    } catch (error) {
      if (!(error instanceof LinkError)) throw error;
      if (error.problem === "enrolment-over" || error.problem === "enrolment-changed") return { kind: "over" };
      // It was the key of the offer: somebody else answers now.
      if (error.code === "link-key-not-pinned") throw new EnrolmentError("enrolment-server-changed", error.detail);
      throw error;
    }
  }

  /** Until there is a result: the server may be restarted meanwhile, or the cable pulled. */
  async #patiently(once: () => Promise<Input | undefined>): Promise<Input> {
    const { clock, signal, trouble } = this.#options;
    for (;;) {
      try {
        const result = await once();
        if (result !== undefined) return result;
      } catch (error) {
        if (!(error instanceof LinkError && AGAIN.has(error.code))) throw error;
        trouble(error);
      }
      await pause(clock, POLL_MS, signal);
      if (signal.aborted) throw new LinkError("link-given-up");
    }
  }

  /** Nothing of this was looked at before its proof was right. */
  #granted(bytes: Buffer, keys: Identity["keys"]): Granted {
    const content = contentOf(bytes);
    if (content === undefined) throw new LinkError("link-bad-reply", "an approval that says something else");
    const { name, certificate, manifestKey, policyRoot } = content;
    const cardKey = openSealed(createPrivateKey(keys.sealing), CARD_KEY_PURPOSE, content.cardKey);
    if (cardKey?.length !== 32 || !fits(certificate, keys.tls, name)) {
      throw new LinkError("link-bad-reply", "an approval that does not fit this agent's keys");
    }
    return {
      ...{ name, certificate, manifestKey, cardKey: cardKey.toString("base64url") },
      ...(policyRoot === undefined ? {} : { policyRoot }),
    };
  }

  async #use({ attempt, offer, granted }: Extract<State, { step: "approved" }>): Promise<Input> {
    const { certificate, name } = granted;
    const asked = this.#asked({ ...offer, client: { certificate, key: attempt.keys.tls } });
    const headers = { [BOOT_HEADER]: this.#options.boot };
    const self = await ask({ ...asked, headers }, "GET", paths.self, AgentSelf);
    if (self.name !== name) throw new LinkError("link-bad-reply", "the server knows this agent by another name");
    return { kind: "used" };
  }

  #asked(trust: PeerTrust) {
    const { clock, signal, url } = this.#options;
    const { peer, origin } = addressOf(url);
    return { peer, origin, trust, clock, signal };
  }
}

/** Errors that pass by themselves. */
const AGAIN = new Set(["link-unreachable", "link-timeout", "link-rate-limited", "link-server-error"]);

function contentOf(bytes: Buffer): EnrolmentContent | undefined {
  try {
    const parsed = EnrolmentContent.safeParse(JSON.parse(bytes.toString("utf8")));
    return parsed.success ? parsed.data : undefined;
  } catch {
    // The caller says so; the parser's message would quote it.
    return undefined;
  }
}

function certificateOf(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem);
  } catch {
    // As above.
    return undefined;
  }
}

function rawPublic(privatePem: string): string {
  return rawOf(createPublicKey(createPrivateKey(privatePem))).toString("base64url");
}
