import type { KeyObject } from "node:crypto";
import { EnvelopeError, seal } from "../protocol/envelope.ts";
import { DEFAULT_SETTINGS, openPolicy, POLICY_SCHEMA, type Policy, type PolicySettings } from "../protocol/policy.ts";
import { Root, type RootEnvelope } from "../protocol/root.ts";
import type { Envelope } from "../protocol/schema.ts";
import { CentralError } from "./central-error.ts";
import { rawPublic } from "./root-keys.ts";
import type { By, PolicyShelf } from "./store.ts";

const DAY_MS = 86_400_000;

export interface CurrentPolicy {
  readonly envelope: Envelope;
  readonly policy: Policy;
  /** SHA-256 of the signed bytes, hex. */
  readonly hash: string;
}

/** The policies of a site: what is in force, and the next one. */
export class PolicyBook {
  readonly #shelf: PolicyShelf;
  readonly #policyKey: () => Promise<KeyObject>;
  #cached: CurrentPolicy | undefined;

  /** `policyKey`: read each time, because it is rotated while the server runs. */
  constructor(shelf: PolicyShelf, policyKey: () => Promise<KeyObject>) {
    this.#shelf = shelf;
    this.#policyKey = policyKey;
  }

  /** What is in force now, whoever published it; undefined in a site that is older than policies. */
  async current(): Promise<CurrentPolicy | undefined> {
    const name = await this.#shelf.policyName();
    if (name === undefined) return undefined;
    const { root, version } = this.#cached?.policy ?? {};
    if (root !== name.root || version !== name.version) {
      const signed = await this.#shelf.policy(name);
      if (signed === undefined) throw new CentralError("policy-unusable", `${name.root}.${name.version}`);
      try {
        const rootDocument = rootOf(await this.#shelf.root(name.root));
        this.#cached = { envelope: signed.envelope, ...openPolicy(signed.envelope, rootDocument) };
      } catch (cause) {
        if (!(cause instanceof EnvelopeError)) throw cause;
        throw new CentralError("policy-unusable", cause.message, { cause });
      }
    }
    return this.#cached;
  }

  /** The settings in force. */
  async settings(): Promise<PolicySettings> {
    return (await this.current())?.policy.settings ?? DEFAULT_SETTINGS;
  }

  root(version: number): Promise<RootEnvelope | undefined> {
    return this.#shelf.root(version);
  }

  /** Signs the settings as the next policy under the newest root. From then on the server obeys them. `policy-key-outdated` */
  async publish(by: By, settings: PolicySettings): Promise<CurrentPolicy> {
    const key = await this.#policyKey();
    await this.#shelf.publishPolicy(by, (name, root) => {
      // What no agent could verify is not published.
      if (!rootOf(root).policyKeys.includes(rawPublic(key))) throw new CentralError("policy-key-outdated");
      return signedPolicy({ ...name, settings, issuedAt: by.at }, key);
    });
    const current = await this.current();
    if (current === undefined) throw new CentralError("policy-unusable");
    return current;
  }

  /** Signs the settings in force anew when half of their time is over. */
  async renew(by: By): Promise<boolean> {
    const policy = (await this.current())?.policy;
    if (policy === undefined) return false;
    const [from, until] = [Date.parse(policy.issuedAt), Date.parse(policy.expiresAt)];
    if (by.at < (from + until) / 2) return false;
    await this.publish(by, policy.settings);
    return true;
  }
}

/** Signs one policy. */
export function signedPolicy(
  what: { root: number; version: number; settings: PolicySettings; issuedAt: number },
  key: KeyObject,
): Envelope {
  const { root, version, settings, issuedAt } = what;
  const iso = (at: number) => new Date(at).toISOString();
  const expiresAt = iso(issuedAt + settings.policy.valid_d * DAY_MS);
  const policy: Policy = {
    ...{ kind: "policy", schema: POLICY_SCHEMA, root, version, issuedAt: iso(issuedAt), expiresAt, settings },
  };
  return seal(policy, key);
}

/** A root document of our own store. */
export function rootOf(envelope: RootEnvelope | undefined): Root {
  const payload = envelope === undefined ? "" : Buffer.from(envelope.payload, "base64url").toString("utf8");
  const parsed = Root.safeParse(payload === "" ? undefined : JSON.parse(payload));
  if (!parsed.success) throw new CentralError("policy-unusable", "its root document");
  return parsed.data;
}
