import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Ledger } from "../../../agent/release/ledger.ts";
import { type LoopContext, ReleaseLoop } from "../../../agent/release/loop.ts";
import type { Central } from "../../../agent/release/ports.ts";
import { RamSpool } from "../../../agent/release/spool.ts";
import type { TapTrace } from "../../../agent/release/trace.ts";
import { silentLog } from "../../../drivers/log.ts";
import type { Printer } from "../../../drivers/printer.ts";
import type { Signal } from "../../../drivers/reader.ts";
import { SimCentral } from "../../sim/central.ts";
import { FakeClock } from "../../sim/clock.ts";
import { SimPrinter } from "../../sim/printer.ts";

export const CARD = createHash("sha256").update("ada's card").digest("hex");

/** `size` octets that differ from place to place. */
export function documentOf(size: number, seed = 1): Buffer {
  return Buffer.from(Uint8Array.from({ length: size }, (_, at) => (at * 31 + seed * 17 + (at >> 8)) & 0xff));
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
/** Requests to the file system: `FSReqPromise`, and `CloseReq` of a handle. */
const filesAreBusy = (): boolean => process.getActiveResourcesInfo().some((name) => name.includes("Req"));

/** Lets everything happen that can, then moves the clock on, until `done`; throws when that takes too long. */
export async function until(clock: FakeClock, done: () => boolean, withinMs = 3_600_000): Promise<void> {
  const end = clock.monotonic() + withinMs;
  for (let quiet = 0; !done(); ) {
    await turn();
    quiet = filesAreBusy() ? 0 : quiet + 1;
    if (quiet < 3) continue;
    quiet = 0;
    if (clock.monotonic() >= end) throw new Error(`not within ${withinMs} ms`);
    clock.advance(50);
  }
}

/** As `until`, for a promise. */
export async function settled<T>(clock: FakeClock, work: Promise<T>, withinMs?: number): Promise<T> {
  let over = false;
  const mark = () => {
    over = true;
  };
  work.then(mark, mark);
  await until(clock, () => over, withinMs);
  return work;
}

/** Lets everything happen that needs no time. */
export async function atOnce(): Promise<void> {
  for (let quiet = 0; quiet < 5; ) {
    await turn();
    quiet = filesAreBusy() ? 0 : quiet + 1;
  }
}

export interface Life {
  readonly loop: ReleaseLoop;
  readonly ledger: Ledger;
  readonly spool: RamSpool;
}

/** A folder, a clock, a central server and a printer; agents come and go. */
export class World {
  readonly folder: string;
  readonly clock = new FakeClock(1000);
  readonly central = new SimCentral();
  readonly printer = new SimPrinter();
  readonly signals: Signal[] = [];
  readonly traced: string[] = [];
  spoolBytes = 64 * 1024;
  readonly #ledgers: Ledger[] = [];
  #taps = 0;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async make(): Promise<World> {
    return new World(await mkdtemp(join(tmpdir(), "printgate-release-")));
  }

  get ledgerPath(): string {
    return join(this.folder, "ledger.log");
  }

  /** An agent's ledger and loop, resumed and compared with the central server unless told otherwise. */
  async start(options: StartOptions = {}): Promise<Life> {
    const {
      path = this.ledgerPath,
      wrap = (ledger) => ledger,
      central = this.central,
      printer = this.printer,
    } = options;
    const real = await Ledger.open(path);
    this.#ledgers.push(real);
    const ledger = wrap(real);
    const spool = new RamSpool(this.spoolBytes);
    const loop = new ReleaseLoop({
      ...{ agentName: this.central.agent, central, ledger, spool, manifestKey: this.central.manifestKey },
      ...{ printers: new Map([[this.printer.name, printer]]), clock: this.clock, log: silentLog },
      uuid: () => {
        this.#taps += 1;
        return `00000000-0000-4000-8000-${this.#taps.toString(16).padStart(12, "0")}`;
      },
      toToken: () => CARD,
      signal: (_reader: string, signal: Signal) => this.signals.push(signal),
      traced: (_trace: TapTrace, stage: string) => this.traced.push(stage),
      ...options.context,
    });
    loop.resume();
    if (options.reconcile !== false) await settled(this.clock, loop.claims.reconcile());
    return { loop, ledger, spool };
  }

  tap({ loop }: Life): void {
    loop.read("reader", this.printer.name, { kind: "text", text: "04A1" }, this.clock.monotonic());
  }

  /** Taps, and waits until everything of it ended and is reported. */
  async tapToEnd(life: Life, withinMs?: number): Promise<void> {
    this.tap(life);
    await settled(this.clock, life.loop.idle(), withinMs);
  }

  async stop(life: Life): Promise<void> {
    await settled(this.clock, life.loop.stop());
    await life.ledger.close();
  }

  async remove(): Promise<void> {
    // Those that a test has closed refuse, which is all right.
    await Promise.all(this.#ledgers.map((ledger) => ledger.close().catch(() => {})));
    await rm(this.folder, { recursive: true });
  }
}

export interface StartOptions {
  readonly path?: string;
  readonly wrap?: (ledger: Ledger) => Ledger;
  readonly central?: Central;
  readonly printer?: Printer;
  readonly reconcile?: boolean;
  readonly context?: Partial<LoopContext>;
}
