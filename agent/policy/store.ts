import { join } from "node:path";
import * as z from "zod/mini";
import { EnvelopeError } from "../protocol/envelope.ts";
import { DEFAULT_SETTINGS, type OpenedPolicy, openPolicy, PolicySettings } from "../protocol/policy.ts";
import { anchorOf, anchorVersion, openAnchoredRoot, openNextRoot, Root, RootEnvelope } from "../protocol/root.ts";
import { Envelope } from "../protocol/schema.ts";
import { KeptFile } from "../storage/kept-file.ts";
import { expiryOf, type Height, judge, type Times } from "./accept.ts";
import { PolicyError } from "./policy-error.ts";
import type { Pins } from "./trial.ts";

/** No policy is older than the first program that knew them. */
export const BUILT_MS = Date.UTC(2026, 10, 1);
const MAX_CHAINS = 8;
const MAX_ANCHORS = 64;

const PinList = z.array(z.string().check(z.maxLength(60))).check(z.maxLength(64));

/** One chain of roots: each of its documents by `N.HASH`, and how high the agent has come on it. */
const Chain = z.strictObject({
  anchors: z.array(z.string()).check(z.minLength(1), z.maxLength(MAX_ANCHORS)),
  root: z.int(),
  version: z.int(),
  hash: z.string(),
  floor: z.number(),
});
type Chain = z.infer<typeof Chain>;
const Heights = z.strictObject({ chains: z.array(Chain).check(z.maxLength(MAX_CHAINS)) });
type Heights = z.infer<typeof Heights>;

const State = z.strictObject({
  /** A second copy of its heights. */
  chain: Chain,
  /** The current root. */
  root: RootEnvelope,
  /** The policy in force with the root that it was signed under, which may be older than the current one. */
  policy: z.optional(z.strictObject({ root: RootEnvelope, envelope: Envelope })),
  previous: z.optional(z.strictObject({ version: z.string(), settings: PolicySettings })),
  pins: z.optional(
    z.strictObject({
      settled: PinList,
      policy: z.string(),
      trial: z.optional(z.strictObject({ pins: PinList, leftMs: z.number() })),
      undone: z.optional(PinList),
    }),
  ),
});
type State = z.infer<typeof State>;

/** The last policy whose settings were others. */
export interface PreviousPolicy {
  /** `ROOT.VERSION` */
  readonly version: string;
  readonly settings: PolicySettings;
}

/**
 * The policy on the disk. `policy.*` is what is in force, and a reset to factory settings removes it. `policy-height.*` is
 * how high the agent has come; a reset keeps it, so that nobody gets an old policy in by resetting the agent.
 */
export class PolicyStore {
  readonly #anchor: string;
  readonly #heights: KeptFile<Heights>;
  readonly #state: KeptFile<State>;
  #root: Root | undefined;
  #current: OpenedPolicy | undefined;

  private constructor(anchor: string, heights: KeptFile<Heights>, state: KeptFile<State>) {
    this.#anchor = anchor;
    this.#heights = heights;
    this.#state = state;
    // The state of another chain is another central server's.
    if (state.value === undefined || !this.#chain().anchors.includes(anchorOfRoot(state.value.root))) return;
    this.#root = rootOf(state.value.root);
    const { policy } = state.value;
    this.#current = policy && openPolicy(policy.envelope, rootOf(policy.root));
  }

  /** `anchor`: the root document that the enrolment names. Rejects with a `StorageError`. */
  static async open(stateDir: string, anchor: string): Promise<PolicyStore> {
    const heights = await KeptFile.open(join(stateDir, "policy-height"), read(Heights));
    const state = await KeptFile.open(join(stateDir, "policy"), readState);
    return new PolicyStore(anchor, heights, state);
  }

  /** True if all copies of the heights are gone: an older policy cannot be told from a new one. */
  get damaged(): boolean {
    return this.damagedCopies > 0 && this.#heights.value === undefined && this.#state.value === undefined;
  }

  /** Copies that were not whole when the agent started. */
  get damagedCopies(): number {
    return this.#heights.damaged + this.#state.damaged;
  }

  get root(): Root | undefined {
    return this.#root;
  }

  /** The version of the root document that the chain begins with. */
  get firstRoot(): number {
    return anchorVersion(this.#anchor);
  }

  get current(): OpenedPolicy | undefined {
    return this.#current;
  }

  get settings(): PolicySettings {
    return this.#current?.policy.settings ?? DEFAULT_SETTINGS;
  }

  get previous(): PreviousPolicy | undefined {
    return this.#current === undefined ? undefined : this.#state.value?.previous;
  }

  get pins(): Pins | undefined {
    const pins = this.#root === undefined ? undefined : this.#state.value?.pins;
    if (pins === undefined) return undefined;
    const { trial, undone, ...rest } = pins;
    return { ...rest, ...(trial === undefined ? {} : { trial }), ...(undone === undefined ? {} : { undone }) };
  }

  get floor(): number {
    return Math.max(BUILT_MS, this.#chain().floor);
  }

  get height(): Height | undefined {
    const { root, version, hash } = this.#chain();
    return version === 0 ? undefined : { root, version, hash };
  }

  /** The root document that the anchor names, or the one after the current; throws an `EnvelopeError`. */
  async takeRoot(envelope: RootEnvelope): Promise<void> {
    const root =
      this.#root === undefined ? openAnchoredRoot(envelope, this.#anchor) : openNextRoot(envelope, this.#root);
    const chain = this.#chain();
    const anchor = anchorOf(envelope, root.version);
    const anchors = [...new Set([...chain.anchors, anchor])].slice(-MAX_ANCHORS);
    // A new root ends whatever a stolen policy key has signed: versions used up, a floor in the far future.
    const floor = root.version > chain.root ? Date.parse(root.issuedAt) : chain.floor;
    const higher = { ...chain, anchors, floor };
    await this.#keepChain(higher);
    const { policy, previous, pins } = this.#root === undefined ? {} : (this.#state.value ?? {});
    await this.#state.write({ chain: higher, root: envelope, ...defined({ policy, previous, pins }) });
    this.#root = root;
  }

  /** `same`: it is in force already. Throws an `EnvelopeError` or a `PolicyError`, and then nothing has changed. */
  async offer(envelope: Envelope, wall: number): Promise<"accepted" | "same"> {
    const root = this.#root;
    const kept = this.#state.value;
    if (root === undefined || kept === undefined) throw new PolicyError("policy-none", "no root document");
    const opened = openPolicy(envelope, root);
    const { policy, hash } = opened;
    const times: Times = { wall, floor: this.floor };
    const verdict = judge(opened, root.version, this.height, times);
    const name = `${policy.root}.${policy.version}`;
    if (verdict === "same") {
      if (this.#current?.hash === hash) return "same";
      // The height is ahead of the policy: after a reset, or a power cut between the two writes below.
      if (expiryOf(policy, times) === "expired") throw new PolicyError("policy-expired", name);
    } else if (verdict !== "accepted") throw new PolicyError(verdict, name);
    const floor = Math.max(this.floor, Date.parse(policy.issuedAt));
    // First how high it is: a cut between the two must not leave a policy in force that could still be replaced by an older one.
    const chain = { ...this.#chain(), root: policy.root, version: policy.version, hash, floor };
    await this.#keepChain(chain);
    const before = this.#current?.policy;
    // What was only signed anew is no change that people would look for.
    const changed = before !== undefined && JSON.stringify(before.settings) !== JSON.stringify(policy.settings);
    const previous: PreviousPolicy | undefined = changed
      ? { version: `${before.root}.${before.version}`, settings: before.settings }
      : kept.previous;
    const inForce = { root: kept.root, envelope };
    await this.#state.write({ chain, root: kept.root, policy: inForce, ...defined({ previous, pins: kept.pins }) });
    this.#current = opened;
    return "accepted";
  }

  async keepPins(pins: Pins): Promise<void> {
    const kept = this.#state.value;
    if (this.#root === undefined || kept === undefined) return;
    const { trial, undone } = pins;
    const plain = {
      settled: [...pins.settled],
      policy: pins.policy,
      ...(trial === undefined ? {} : { trial: { pins: [...trial.pins], leftMs: trial.leftMs } }),
      ...(undone === undefined ? {} : { undone: [...undone] }),
    };
    await this.#state.write({ ...kept, pins: plain });
  }

  #chain(): Chain {
    const kept = [
      ...(this.#heights.value?.chains ?? []),
      ...(this.#state.value === undefined ? [] : [this.#state.value.chain]),
    ];
    return kept
      .filter(({ anchors }) => anchors.includes(this.#anchor))
      .reduce((best, chain) => ((chain.root - best.root || chain.version - best.version) >= 0 ? chain : best), {
        ...{ anchors: [this.#anchor], root: 0, version: 0, hash: "", floor: 0 },
      });
  }

  async #keepChain(chain: Chain): Promise<void> {
    const others = this.#heights.value?.chains.filter(({ anchors }) => !anchors.includes(this.#anchor)) ?? [];
    await this.#heights.write({ chains: [...others.slice(1 - MAX_CHAINS), chain] });
  }
}

function rootOf(envelope: RootEnvelope): Root {
  // Verified when it was taken; the file's checksum stands for it since.
  const parsed = Root.safeParse(JSON.parse(Buffer.from(envelope.payload, "base64url").toString("utf8")));
  if (!parsed.success) throw new EnvelopeError("envelope-content-invalid", "not a root document");
  return parsed.data;
}

const anchorOfRoot = (envelope: RootEnvelope): string => anchorOf(envelope, rootOf(envelope).version);

function read<T>(schema: z.ZodMiniType<T>): (content: unknown) => T | undefined {
  return (content) => {
    const parsed = schema.safeParse(content);
    return parsed.success ? parsed.data : undefined;
  };
}

/** A copy whose policy does not verify is no better than a torn one. */
function readState(content: unknown): State | undefined {
  const state = read(State)(content);
  try {
    if (state === undefined) return undefined;
    rootOf(state.root);
    if (state.policy !== undefined) openPolicy(state.policy.envelope, rootOf(state.policy.root));
    return state;
  } catch {
    return undefined; // the caller counts it as damaged
  }
}

/** Without the keys that have no value. */
function defined<T extends object>(table: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(table).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: NonNullable<T[K]>;
  };
}
