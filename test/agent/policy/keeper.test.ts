import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { LinkError } from "../../../agent/link/link-error.ts";
import { PolicyKeeper, type PolicySource } from "../../../agent/policy/keeper.ts";
import { PolicyStore } from "../../../agent/policy/store.ts";
import { TRIAL_MS } from "../../../agent/policy/trial.ts";
import type { Envelope } from "../../../agent/protocol/schema.ts";
import { silentLog } from "../../../drivers/log.ts";
import { FakeClock } from "../../sim/clock.ts";
import { NOW, PolicyAuthority } from "./authority.ts";

const [A, B, C] = ["A", "B", "C"].map((letter) => `sha256/${letter.repeat(43)}=`) as [string, string, string];

/** A central server with one authority, a stream that can be opened, and calls that are counted. */
class Source implements PolicySource {
  readonly authority: PolicyAuthority;
  envelope: Envelope;
  polls = 0;
  down = false;
  streams: {
    listener: Parameters<PolicySource["events"]>[0];
    after: string | undefined;
    end: (error?: Error) => void;
  }[] = [];

  constructor(authority: PolicyAuthority) {
    this.authority = authority;
    this.envelope = authority.policy();
  }

  async policy(etag?: string) {
    this.polls += 1;
    if (this.down) throw new LinkError("link-unreachable");
    const current = this.envelope.signature;
    return etag === current ? undefined : { envelope: this.envelope, etag: current };
  }

  async root(version: number) {
    const root = this.authority.roots[version - 1];
    if (root === undefined) throw new LinkError("link-nothing-there");
    return root;
  }

  events(listener: Parameters<PolicySource["events"]>[0], after?: string, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.down) {
        reject(new LinkError("link-unreachable"));
        return;
      }
      const end = (error?: Error) => (error === undefined ? resolve() : reject(error));
      signal?.addEventListener("abort", () => reject(new LinkError("link-given-up")), { once: true });
      this.streams.push({ listener, after, end });
    });
  }

  get stream() {
    const stream = this.streams.at(-1);
    if (stream === undefined) throw new Error("nobody follows");
    return stream;
  }
}

let folder: string;
let clock: FakeClock;
let source: Source;
let keeper: PolicyKeeper;
let trusted: readonly string[];
let onTrial: boolean;

async function start(configured: readonly string[] = [A, B]): Promise<void> {
  const store = await PolicyStore.open(folder, source.authority.anchor);
  const trust = (pins: readonly string[], trial: boolean) => {
    trusted = pins;
    onTrial = trial;
  };
  keeper = new PolicyKeeper({ store, source, configured, trust, clock, log: silentLog, random: () => 0.5 });
  keeper.start();
}

/** Lets everything happen, moving the clock on in small steps, until it is so. */
async function until(done: () => boolean, withinMs = 2_000, stepMs = 50): Promise<void> {
  const end = clock.monotonic() + withinMs;
  for (let quiet = 0; !done(); ) {
    await new Promise((resolve) => setImmediate(resolve));
    const busy = process.getActiveResourcesInfo().some((name) => name.includes("Req"));
    quiet = busy ? 0 : quiet + 1;
    if (quiet < 3) continue;
    quiet = 0;
    if (clock.monotonic() >= end) throw new Error(`not within ${withinMs} ms`);
    clock.advance(stepMs);
  }
}
const version = () => keeper.report.current?.version;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "printgate-keeper-test-"));
  clock = new FakeClock(0, NOW);
  source = new Source(new PolicyAuthority());
});
afterEach(async () => {
  await keeper.stop();
  await rm(folder, { recursive: true });
});

describe("the policy is fetched", () => {
  it("at the start, and each minute while there is no stream", async () => {
    await start();
    await until(() => version() === 1);
    source.envelope = source.authority.policy({ release: { mode: "newest" } });
    await until(() => version() === 2, 70_000, 1_000);
    expect(clock.monotonic()).toBeGreaterThan(50_000);
    expect(keeper.report).toMatchObject({ state: "valid", news: "polled", previous: { version: "1.1" } });
  });

  it("at once when the stream tells of it, and that only one that is really there", async () => {
    await start();
    await until(() => version() === 1);
    source.stream.listener.opened();
    source.envelope = source.authority.policy({ release: { mode: "newest" } });
    const told = clock.monotonic();
    source.stream.listener.event({ type: "policy", id: "x-1" });
    await until(() => version() === 2);
    expect(clock.monotonic() - told).toBeLessThan(1_000);
    expect(keeper.report.news).toBe("pushed");
  });

  it("no more often than four times a second, however many events come; other events are no reason", async () => {
    await start();
    await until(() => version() === 1);
    source.stream.listener.opened();
    const before = source.polls;
    for (let second = 0; second < 10; second++) {
      for (let event = 0; event < 500; event++) source.stream.listener.event({ type: "policy", id: "" });
      const next = clock.monotonic() + 1_000;
      await until(() => clock.monotonic() >= next);
    }
    expect(source.polls - before).toBeLessThanOrEqual(42);
    await until(() => false, 1_000).catch(() => {});
    const quiet = source.polls;
    for (let event = 0; event < 100; event++) source.stream.listener.event({ type: "job", id: "" });
    await until(() => false, 5_000, 500).catch(() => {});
    expect(source.polls).toBe(quiet);
  });

  it("again after a stream broke: it resumes after the last id, backs off, and polling goes on meanwhile", async () => {
    await start();
    await until(() => version() === 1);
    source.stream.listener.opened();
    source.stream.listener.event({ type: "policy", id: "e-7" });
    source.stream.end(new LinkError("link-unreachable"));
    await until(() => source.streams.length === 2);
    expect(source.stream.after).toBe("e-7");
    source.down = true;
    source.stream.end(new LinkError("link-unreachable"));
    const before = source.polls;
    await until(() => false, 600_000, 5_000).catch(() => {});
    expect(source.polls - before).toBeGreaterThan(5);
    expect(source.polls - before).toBeLessThan(25);
    expect(keeper.report.error?.code).toBe("link-unreachable");
    source.down = false;
    source.envelope = source.authority.policy();
    await until(() => version() === 2, 130_000, 1_000);
    expect(keeper.report.error).toBeUndefined();
  });

  it("each minute again from when a good stream broke, though nothing was to be asked for a quarter of an hour", async () => {
    await start();
    await until(() => version() === 1);
    source.stream.listener.opened();
    const polls = source.polls;
    await until(() => source.polls > polls);
    await until(() => false, 30_000, 500).catch(() => {});
    source.stream.end();
    source.envelope = source.authority.policy();
    // The next stream never opens.
    await until(() => version() === 2, 5_000);
    source.envelope = source.authority.policy();
    await until(() => version() === 3, 70_000, 500);
  });

  it("events that repeat or come in any order do no harm, and an older policy is refused and told", async () => {
    const old = source.envelope;
    source.envelope = source.authority.policy({ release: { mode: "newest" } });
    await start();
    await until(() => version() === 2);
    source.envelope = old;
    source.stream.listener.opened();
    await until(() => keeper.report.error?.code === "policy-older");
    expect(keeper.settings.release.mode).toBe("newest");
  });

  it("with the chain of roots, when its key is not known yet", async () => {
    await start();
    await until(() => version() === 1);
    for (let step = 0; step < 3; step++) source.authority.rotate(step === 1);
    source.envelope = source.authority.policy({ release: { mode: "newest" } });
    source.stream.listener.opened();
    await until(() => keeper.report.current?.root === 4);
    expect(keeper.settings.release.mode).toBe("newest");
  });

  it("an agent without a policy obeys the defaults", async () => {
    source.down = true;
    await start();
    await until(() => keeper.report.error !== undefined);
    expect(keeper.report.state).toBe("none");
    expect(keeper.settings.printer.health_max_age_s).toBe(15);
  });
});

describe("key pins of the policy", () => {
  const wants = (pins: readonly string[]) => {
    source.envelope = source.authority.policy({ link: { key_pins: pins } });
    source.stream.listener.opened();
  };

  beforeEach(async () => {
    await start();
    await until(() => version() === 1);
    expect([trusted, onTrial]).toEqual([[A, B], false]);
  });

  it("are settled when a connection by one of them has worked", async () => {
    const polls = source.polls;
    wants([B, C]);
    await until(() => onTrial);
    // Asked at once, so that a connection gets the chance to work.
    await until(() => source.polls >= polls + 2);
    expect(trusted).toEqual([A, B, C]);
    keeper.worked(A);
    keeper.worked(C);
    await until(() => !onTrial);
    expect(trusted).toEqual([B, C]);
  });

  it("stay on trial through a restart, and are undone after a day of running time", async () => {
    wants([C, `sha256/${"D".repeat(43)}=`]);
    await until(() => onTrial);
    await keeper.stop();
    await start();
    expect([trusted.length, onTrial]).toEqual([4, true]);
    await until(() => keeper.report.undone !== undefined, TRIAL_MS, 600_000);
    expect([trusted, onTrial]).toEqual([[A, B], false]);
    await keeper.stop();
    await start();
    expect([trusted, onTrial]).toEqual([[A, B], false]);
    expect(keeper.report.undone).toHaveLength(2);
  });

  it("an agent that restarts again and again undoes them too", async () => {
    wants([C, `sha256/${"D".repeat(43)}=`]);
    await until(() => onTrial);
    let starts = 0;
    for (; onTrial && starts < 50; starts++) {
      await keeper.stop();
      await start();
      await until(() => false, 100).catch(() => {});
    }
    expect(starts).toBeLessThanOrEqual(24);
    expect(trusted).toEqual([A, B]);
  });

  it("that the policy does not name are the configuration's, also after the operator changed it", async () => {
    await keeper.stop();
    await start([B, C]);
    expect([trusted, onTrial]).toEqual([[B, C], false]);
  });
});
