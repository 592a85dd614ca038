import { createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { rawFromPublicKey, seal } from "../../../agent/protocol/envelope.ts";
import { PolicySettings } from "../../../agent/protocol/policy.ts";
import { anchorOf, type Root, type RootEnvelope, sealRoot } from "../../../agent/protocol/root.ts";
import type { Envelope } from "../../../agent/protocol/schema.ts";

export const DAY = 86_400_000;
export const NOW = Date.UTC(2027, 0, 1);
export const iso = (at: number): string => new Date(at).toISOString();

export const makeKey = (): KeyObject => generateKeyPairSync("ed25519").privateKey;
export const rawOf = (key: KeyObject): string => rawFromPublicKey(createPublicKey(key));

/** A central server's keys and documents, good ones and forged ones. */
export class PolicyAuthority {
  rootKeys = [makeKey(), makeKey(), makeKey()];
  policyKey = makeKey();
  readonly roots: RootEnvelope[] = [];
  version = 0;

  constructor() {
    this.roots.push(sealRoot(this.root(1), this.rootKeys.slice(0, 2)));
  }

  get anchor(): string {
    return anchorOf(this.rootAt(1), 1);
  }

  rootAt(version: number): RootEnvelope {
    const root = this.roots[version - 1];
    if (root === undefined) throw new Error("there is no such root");
    return root;
  }

  root(version: number, change: Partial<Root> = {}): Root {
    const rootKeys = this.rootKeys.map(rawOf);
    const policyKeys = [rawOf(this.policyKey)];
    return { kind: "root", schema: 1, version, issuedAt: iso(NOW), rootKeys, threshold: 2, policyKeys, ...change };
  }

  /** The next root, with a new policy key and, where asked, new root keys. */
  rotate(newRootKeys = false): RootEnvelope {
    const old = this.rootKeys;
    if (newRootKeys) this.rootKeys = [makeKey(), makeKey(), makeKey()];
    this.policyKey = makeKey();
    const signers = newRootKeys ? [...old.slice(0, 2), ...this.rootKeys.slice(1)] : old.slice(1);
    const next = sealRoot(this.root(this.roots.length + 1), signers);
    this.roots.push(next);
    this.version = 0;
    return next;
  }

  content(change: object = {}, settings: object = {}): object {
    return {
      ...{ kind: "policy", schema: 1, root: this.roots.length, version: this.version },
      ...{ issuedAt: iso(NOW), expiresAt: iso(NOW + 30 * DAY), settings: PolicySettings.parse(settings) },
      ...change,
    };
  }

  /** The next policy. */
  policy(settings: object = {}, change: object = {}): Envelope {
    this.version += 1;
    return seal(this.content(change, settings), this.policyKey);
  }
}
