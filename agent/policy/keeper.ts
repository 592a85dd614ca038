import { type Clock, pause } from "../../drivers/clock.ts";
import { CodedError, codeOf } from "../../drivers/coded-error.ts";
import type { Log } from "../../drivers/log.ts";
import type { Policy, PolicySettings } from "../protocol/policy.ts";
import type { RootEnvelope } from "../protocol/root.ts";
import type { Envelope } from "../protocol/schema.ts";
import { expiryOf, isPlausible } from "./accept.ts";
import { PolicyError } from "./policy-error.ts";
import type { PolicyStore, PreviousPolicy } from "./store.ts";
import { type Pins, type PinsInput, stepPins, trustedPins } from "./trial.ts";

/** The central server, as far as policies need it. Rejects with coded errors. */
export interface PolicySource {
  policy(
    etag?: string,
    signal?: AbortSignal,
  ): Promise<{ readonly envelope: Envelope; readonly etag: string | undefined } | undefined>;
  /** `link-nothing-there` for a version that there is not. */
  root(version: number, signal?: AbortSignal): Promise<RootEnvelope>;
  events(
    listener: { opened(): void; event(event: { readonly type: string; readonly id: string }): void },
    lastEventId?: string,
    signal?: AbortSignal,
  ): Promise<void>;
}

export interface KeeperOptions {
  readonly store: PolicyStore;
  readonly source: PolicySource;
  /** The key pins of the configuration. */
  readonly configured: readonly string[];
  /** Called with the pins that the link must trust from now on, and whether it must tell which of them work. */
  readonly trust: (pins: readonly string[], onTrial: boolean) => void;
  readonly clock: Clock;
  readonly log: Log;
  /** 0 ≤ n < 1 */
  readonly random: () => number;
}

/** Without the stream the server is asked so often. */
const POLL_MS = 60_000;
/** With it, in case that it told nothing of what it should have told. */
const SLOW_POLL_MS = 15 * 60_000;
const FIRST_RETRY_MS = 1_000;
const MAX_RETRY_MS = 60_000;
/** A server that never stops telling news is asked no more often than this. */
const MIN_GAP_MS = 250;
/** A stream that lasted this long was a good one. */
const GOOD_STREAM_MS = 10_000;
/** Steps of the chain of roots in one go. */
const MAX_ROOTS = 32;
/** A trial of pins is charged in advance, so that an agent that restarts again and again ends it too. */
const CHARGE_MS = 3_600_000;

/** Fetches the policy, follows the news of it, and keeps what the agent obeys. */
export class PolicyKeeper {
  readonly counters: Record<string, number> = { accepted: 0, unchanged: 0, nudges: 0, streams: 0 };
  readonly #options: KeeperOptions;
  readonly #stopping = new AbortController();
  #pins: Pins;
  #etag: string | undefined;
  #lastEventId: string | undefined;
  #streaming = false;
  #nudged = false;
  #wake: () => void = () => {};
  #error: CodedError | undefined;
  #cancelCharge: () => void = () => {};
  #writes: Promise<void> = Promise.resolve();
  #running: Promise<unknown> = Promise.resolve();

  constructor(options: KeeperOptions) {
    const { store, configured } = options;
    this.#options = options;
    const pins = store.pins ?? { settled: configured, policy: "" };
    // Where the policy names no pins the configuration does, which the operator may have changed since.
    const ours = store.current?.policy.settings.link.key_pins === undefined && pins.trial === undefined;
    this.#pins = ours ? { settled: configured, policy: pins.policy } : pins;
    if (store.damaged) this.#error = new PolicyError("policy-store-damaged");
  }

  /** What the agent obeys now. */
  get settings(): PolicySettings {
    return this.#options.store.settings;
  }

  /** Those that the link must trust at its start. */
  get pins(): readonly string[] {
    return trustedPins(this.#pins);
  }

  start(): void {
    const { log, store } = this.#options;
    if (store.damagedCopies > 0) log.warn({ copies: store.damagedCopies }, "a copy of the policy was damaged");
    this.#applyPins();
    // Taken up once more, in case that the power went between the policy and its pins.
    if (store.current !== undefined) this.#wantPins(store.current.policy);
    this.#charge();
    this.#running = Promise.all([this.#poll(), this.#follow()]);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#wake();
    this.#cancelCharge();
    await this.#running;
    await this.#writes;
  }

  /** The central server gave an answer on a connection whose key has this pin. */
  worked(pin: string): void {
    this.#step({ type: "worked", pin });
  }

  /** What the status and `policy show` tell. Holds no secret. */
  get report(): PolicyReport {
    const { store, clock } = this.#options;
    const times = { wall: clock.wall(), floor: store.floor };
    const policy = store.current?.policy;
    const { trial, undone } = this.#pins;
    return {
      state: policy === undefined ? "none" : expiryOf(policy, times),
      ...(policy === undefined ? {} : { current: policy }),
      ...(store.previous === undefined ? {} : { previous: store.previous }),
      clock: isPlausible(times) ? "plausible" : "implausible",
      news: this.#streaming ? "pushed" : "polled",
      ...(trial === undefined ? {} : { trial: { keyPins: trial.pins, leftMs: trial.leftMs } }),
      ...(undone === undefined ? {} : { undone }),
      ...(this.#error === undefined ? {} : { error: this.#error }),
      counters: this.counters,
    };
  }

  /** Asks at the start, after each piece of news, and from time to time. Never rejects. */
  async #poll(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#stopping;
    for (let failures = 0; !signal.aborted; ) {
      const asked = clock.monotonic();
      this.#nudged = false;
      let waitMs: number;
      try {
        await this.#refresh(signal);
        failures = 0;
        waitMs = this.#streaming ? SLOW_POLL_MS : POLL_MS;
      } catch (error) {
        if (signal.aborted) return;
        failures += 1;
        waitMs = this.#failed(error, failures);
      }
      await pause(clock, Math.max(0, MIN_GAP_MS - (clock.monotonic() - asked)), signal);
      await this.#sleep(waitMs);
    }
  }

  async #refresh(signal: AbortSignal): Promise<void> {
    const { source, store } = this.#options;
    if (store.root === undefined) await this.#takeRoots(signal);
    const answer = await source.policy(this.#etag, signal);
    if (answer === undefined) this.#count("unchanged");
    else {
      await this.#offer(answer.envelope).catch(async (error: unknown) => {
        // A key or a root that is not known yet may stand in the next root document.
        if (!ROOT_MAY_HELP.has(codeOf(error)) || (await this.#takeRoots(signal)) === 0) throw error;
        await this.#offer(answer.envelope);
      });
      this.#etag = answer.etag;
    }
    if (this.#error !== undefined) this.#options.log.info({}, "the policy is in order again");
    this.#error = undefined;
  }

  async #offer(envelope: Envelope): Promise<void> {
    const { store, clock, log } = this.#options;
    const taken = await this.#serially(() => store.offer(envelope, clock.wall()));
    if (taken === "same") return;
    this.#count("accepted");
    const policy = store.current?.policy;
    if (policy === undefined) return;
    log.info({ policy: nameOf(policy), expiresAt: policy.expiresAt }, "a policy is in force");
    this.#wantPins(policy);
  }

  #wantPins(policy: Policy): void {
    const pins = policy.settings.link.key_pins ?? this.#options.configured;
    this.#step({ type: "wanted", pins, policy: nameOf(policy) });
  }

  /** How many root documents were new. */
  async #takeRoots(signal: AbortSignal): Promise<number> {
    const { source, store, log } = this.#options;
    for (let taken = 0; taken < MAX_ROOTS; taken++) {
      try {
        const envelope = await source.root(store.root === undefined ? store.firstRoot : store.root.version + 1, signal);
        await this.#serially(() => store.takeRoot(envelope));
        log.info({ root: store.root?.version }, "a root document was taken");
      } catch (error) {
        if (store.root !== undefined && codeOf(error) === "link-nothing-there") return taken;
        throw error;
      }
    }
    return MAX_ROOTS;
  }

  /** Follows the event stream, again and again. Never rejects. */
  async #follow(): Promise<void> {
    const { source, clock, log, random } = this.#options;
    const { signal } = this.#stopping;
    for (let failures = 0; !signal.aborted; ) {
      const began = clock.monotonic();
      const listener = {
        opened: () => {
          this.#streaming = true;
          this.#count("streams");
          this.#nudge();
        },
        event: ({ type, id }: { readonly type: string; readonly id: string }) => {
          if (id !== "") this.#lastEventId = id;
          // Of another kind, or of a later version of the server.
          if (type === "policy" || type === "resync") this.#nudge();
        },
      };
      let askedToWaitMs = 0;
      try {
        await source.events(listener, this.#lastEventId, signal);
      } catch (error) {
        askedToWaitMs = retryAfterOf(error);
        if (!signal.aborted) log.debug({ code: codeOf(error) }, "the event stream ended; polling goes on");
        this.#count(`stream ${codeOf(error)}`);
      }
      const streamed = this.#streaming;
      this.#streaming = false;
      failures = streamed && clock.monotonic() - began >= GOOD_STREAM_MS ? 1 : failures + 1;
      const backOffMs = Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(failures - 1, 10));
      // Spread, so that a server that comes back is not met by all its agents at once.
      await pause(clock, Math.max(askedToWaitMs, backOffMs * (0.5 + random() / 2)), signal);
      // While the stream was there, the next question was far away.
      if (streamed) this.#nudge();
    }
  }

  #nudge(): void {
    this.#count("nudges");
    this.#nudged = true;
    this.#wake();
  }

  /** Ends early at a nudge, also at one that came since the last request began. */
  #sleep(ms: number): Promise<void> {
    if (this.#nudged || this.#stopping.signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const cancel = this.#options.clock.after(ms, () => this.#wake());
      this.#wake = () => {
        cancel();
        this.#wake = () => {};
        resolve();
      };
    });
  }

  #failed(error: unknown, failures: number): number {
    const code = codeOf(error);
    this.#count(code);
    const { log } = this.#options;
    if (!(error instanceof CodedError)) log.error({ err: error }, "a policy could not be looked at");
    else if (this.#error?.code !== error.code) log.warn({ code, detail: error.detail }, "no policy was taken");
    if (error instanceof CodedError) this.#error = error;
    const backOffMs = Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(failures - 1, 10));
    return Math.max(retryAfterOf(error), backOffMs);
  }

  /** Takes time off a trial in advance, now and each hour. */
  #charge(): void {
    this.#cancelCharge();
    if (this.#pins.trial === undefined || this.#stopping.signal.aborted) return;
    this.#step({ type: "spent", ms: CHARGE_MS });
    this.#cancelCharge = this.#options.clock.after(CHARGE_MS, () => this.#charge());
  }

  /** The disk first: what is trusted after a restart must never be less than what is trusted now. */
  #step(input: PinsInput): void {
    const { store, log } = this.#options;
    if (input.type === "worked" && stepPins(this.#pins, input) === this.#pins) return;
    this.#serially(async () => {
      const before = this.#pins;
      const next = stepPins(before, input);
      if (next === before) return;
      await store.keepPins(next);
      this.#pins = next;
      this.#applyPins();
      if (next.trial !== undefined && before.trial === undefined) {
        log.warn({ policy: next.policy }, "new key pins are on trial beside the old ones");
        // The answer may be the one that settles them.
        this.#nudge();
        this.#charge();
      }
      if (before.trial !== undefined && next.trial === undefined) {
        if (next.undone === undefined) log.info({ policy: next.policy }, "the new key pins are settled");
        else log.error({ policy: next.policy }, "no connection by the new key pins worked; they were dropped");
      }
    }).catch((error: unknown) => {
      // As it was, here and on the disk; the next connection or hour tries again.
      this.#count(codeOf(error));
      log.error({ code: codeOf(error) }, "the key pins could not be stored");
    });
  }

  #applyPins(): void {
    this.#options.trust(trustedPins(this.#pins), this.#pins.trial !== undefined);
  }

  #serially<T>(work: () => Promise<T>): Promise<T> {
    const run = this.#writes.then(work);
    this.#writes = run.then(
      () => {},
      () => {}, // its caller has the error
    );
    return run;
  }

  #count(name: string): void {
    this.counters[name] = (this.counters[name] ?? 0) + 1;
  }
}

export interface PolicyReport {
  /** Of what is in force: `unknown` where the clock is implausible; `none`: the defaults hold. */
  readonly state: "none" | "valid" | "expired" | "unknown";
  readonly current?: Policy;
  readonly previous?: PreviousPolicy;
  readonly clock: "plausible" | "implausible";
  readonly news: "pushed" | "polled";
  /** Key pins that are tried, and how long still, in ms of running time. */
  readonly trial?: { readonly keyPins: readonly string[]; readonly leftMs: number };
  /** Key pins that were tried in vain. */
  readonly undone?: readonly string[];
  /** Why the last look brought nothing. */
  readonly error?: CodedError;
  readonly counters: Readonly<Record<string, number>>;
}

const ROOT_MAY_HELP: ReadonlySet<string> = new Set(["envelope-key-unknown", "policy-other-root"]);

export const nameOf = ({ root, version }: Pick<Policy, "root" | "version">): string => `${root}.${version}`;

function retryAfterOf(error: unknown): number {
  const ms: unknown = error instanceof CodedError && "retryAfterMs" in error ? error.retryAfterMs : undefined;
  return typeof ms === "number" ? ms : 0;
}
