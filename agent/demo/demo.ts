import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../drivers/clock.ts";
import { silentLog } from "../../drivers/log.ts";
import { STAGES, type Stage, type TapTrace } from "../release/trace.ts";
import { VirtualMfd } from "./mfd.ts";
import { samplePdf } from "./sample-pdf.ts";
import { CARD, DemoSite } from "./site.ts";

export interface DemoOptions {
  /** A real printer instead of the virtual MFD. */
  readonly printerUri?: string | undefined;
  readonly printerKeyPin?: string | undefined;
  /** Hears of each step as one line. */
  readonly say: (line: string) => void;
}

export interface DemoResult {
  readonly outcome: string;
  /** `sha256Printed` is null where the printer is a real one: it does not tell what it printed. */
  readonly jobs: readonly {
    readonly id: string;
    readonly sha256Submitted: string;
    readonly sha256Printed: string | null;
  }[];
  /** Milliseconds from the last byte of the card's read. */
  readonly timelineMs: Readonly<Partial<Record<Stage, number>>>;
}

/** A person waits longer for a real printer than for ours, but not for ever. */
const TAP_MS = 120_000;

const WORDS: Readonly<Record<Stage, string>> = {
  converted: "card number converted to its token",
  answered: "central server: who it is, what waits, claimed",
  fetched: "document here, every chunk verified",
  created: "printer's job created",
  durable: 'ledger: "bytes may leave" is on the disk',
  firstByte: "first document byte leaves",
  sent: "printer has the whole document",
  ended: "release ended",
  reported: "central server knows how",
};

/** A site, a printer, and a person who taps. */
export class Demo {
  readonly mfd: VirtualMfd | undefined;
  readonly #folder: string;
  readonly #say: (line: string) => void;
  readonly #submitted = new Map<string, Buffer>();
  readonly #done = new Map<TapTrace, () => void>();
  #next: ((trace: TapTrace) => void) | undefined;
  #site: DemoSite | undefined;

  private constructor(folder: string, say: (line: string) => void, mfd: VirtualMfd | undefined) {
    this.#folder = folder;
    this.#say = say;
    this.mfd = mfd;
  }

  static async start({ printerUri, printerKeyPin, say }: DemoOptions): Promise<Demo> {
    const started = performance.now();
    const folder = await mkdtemp(join(tmpdir(), "printgate-mfd-"));
    const virtual = () => VirtualMfd.start({ clock: systemClock, folder, printMs: 400 });
    const mfd = printerUri === undefined ? await virtual() : undefined;
    const demo = new Demo(folder, say, mfd);
    try {
      demo.#site = await DemoSite.start({
        log: silentLog,
        printerUri: printerUri ?? mfd?.uri ?? "",
        ...(printerKeyPin === undefined ? {} : { printerKeyPins: [printerKeyPin] }),
        traced: (trace, stage) => demo.#traced(trace, stage),
        enrolled: (fingerprint) => {
          say(line(performance.now() - started, `the agent asks to be enrolled; both sides show ${fingerprint}`));
        },
      });
    } catch (error) {
      await demo.stop();
      throw error;
    }
    const printer = mfd === undefined ? printerUri : `the virtual MFD at ${mfd.uri}`;
    say(line(performance.now() - started, `central server, agent and reader run, beside ${printer}`));
    return demo;
  }

  get site(): DemoSite {
    if (this.#site === undefined) throw new Error("the demo did not start");
    return this.#site;
  }

  /** A new one-page PDF waits for the person. */
  async submit(): Promise<void> {
    const started = performance.now();
    const number = this.#submitted.size + 1;
    const pdf = samplePdf(["Printgate", `Page ${number} of the demo`, "Printed once, because its owner tapped."]);
    const { id, sha256 } = await this.site.submit(pdf, `demo-${number}.pdf`);
    this.#submitted.set(id, pdf);
    this.#say(
      line(
        performance.now() - started,
        `a PDF of ${pdf.length} bytes is held for Ada (SHA-256 ${sha256.slice(0, 8)}…)`,
      ),
    );
  }

  /** Holds the card on the reader; resolves when the tap has been dealt with to its end. */
  async tap(signal: AbortSignal): Promise<DemoResult> {
    const begun = new Promise<TapTrace>((resolve) => {
      this.#next = resolve;
    });
    if (!this.site.reader.tap(CARD)) {
      this.#say("nobody reads the reader: it is unplugged");
      return { outcome: "not read", jobs: [], timelineMs: {} };
    }
    const ended = AbortSignal.any([signal, AbortSignal.timeout(TAP_MS)]);
    const gaveUp = new Promise<never>((_, reject) => {
      ended.addEventListener("abort", () => reject(new Error("the demo was stopped, or the printer took too long")));
    });
    const trace = await Promise.race([begun, gaveUp]);
    const done = new Promise<void>((resolve) => {
      if (isDone(trace)) resolve();
      else this.#done.set(trace, resolve);
    });
    await Promise.race([done, gaveUp]);
    return this.#result(trace);
  }

  async stop(): Promise<void> {
    await this.#site?.stop();
    await this.mfd?.stop();
    await rm(this.#folder, { recursive: true, force: true });
  }

  #traced(trace: TapTrace, stage: Stage | "signal"): void {
    this.#next?.(trace);
    this.#next = undefined;
    if (stage === "signal")
      this.#say(`              the reader shows: ${trace.signal}${trace.code === undefined ? "" : ` (${trace.code})`}`);
    else this.#say(line(trace.stagesMs[stage] ?? 0, WORDS[stage]));
    if (isDone(trace)) this.#done.get(trace)?.();
  }

  async #result(trace: TapTrace): Promise<DemoResult> {
    const jobs = await Promise.all(
      trace.jobs.map(async ({ jobId }, index) => ({
        id: jobId,
        sha256Submitted: sha256(this.#submitted.get(jobId) ?? Buffer.alloc(0)),
        sha256Printed: await this.#printed(trace.jobs.length - index),
      })),
    );
    const words = new Set(trace.jobs.map(({ word }) => word ?? "unknown"));
    const [word = "nothing to print"] = words;
    const timelineMs = Object.fromEntries(
      STAGES.flatMap((stage) => {
        const ms = trace.stagesMs[stage];
        return ms === undefined ? [] : [[stage, Math.round(ms * 100) / 100]];
      }),
    );
    return { outcome: words.size > 1 ? "mixed" : word, jobs, timelineMs };
  }

  /** The hash of the file that the MFD wrote, counted from its last one. */
  async #printed(fromLast: number): Promise<string | null> {
    const file = this.mfd?.prints.at(-fromLast)?.file;
    return file === undefined ? null : sha256(await readFile(file));
  }
}

function isDone(trace: TapTrace): boolean {
  if (trace.jobs.length > 0)
    return trace.stagesMs.reported !== undefined && trace.jobs.every(({ word }) => word !== undefined);
  return trace.signal !== undefined && trace.signal !== "accepted";
}

function line(ms: number, text: string): string {
  return `${ms.toFixed(1).padStart(9)} ms  ${text}`;
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
