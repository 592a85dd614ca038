import { CentralServer } from "../../agent/central/server.ts";
import type { Log } from "../../drivers/log.ts";

/** The built-in central server in a process of its own; `delayMs` is added before each of its answers. */
export interface CentralSettings {
  readonly dataDir: string;
  readonly delayMs: number;
}

export interface CentralReady {
  readonly url: string;
}

/** What the server noticed since the last message. */
export interface CentralNews {
  /** Taps that were answered. */
  readonly taps: number;
  /** How the jobs of which outcomes came ended, such as `printed`. */
  readonly outcomes: readonly string[];
}

let [taps, outcomes, pending] = [0, [] as string[], false];

/** Not at once: telling must not be on the way of the answer. */
function tellSoon(): void {
  if (pending) return;
  pending = true;
  setImmediate(() => {
    process.send?.({ taps, outcomes } satisfies CentralNews);
    [taps, outcomes, pending] = [0, [], false];
  });
}

const log: Log = {
  debug() {},
  info(fields, message) {
    if (message === "tap accepted" || message === "tap refused") taps += 1;
    else if (message === "outcome" && "word" in fields) outcomes.push(String(fields.word));
    else return;
    tellSoon();
  },
  warn: (fields, message) => void process.stderr.write(`central: ${message} ${JSON.stringify(fields)}\n`),
  error: (fields, message) => void process.stderr.write(`central: ${message} ${JSON.stringify(fields)}\n`),
  child: () => log,
};

process.once("message", async (settings: CentralSettings) => {
  // Far beyond what is measured: a limit must not be part of it.
  const limits = { tapBurst: 1e6, tapsPerSecond: 1e6, reportsPerSecond: 1e6 };
  const server = await CentralServer.start({ ...settings, log, limits });
  const stop = () => void server.stop().then(() => process.exit());
  process.once("SIGTERM", stop);
  process.once("disconnect", stop); // whoever measures is gone
  process.send?.({ url: server.url } satisfies CentralReady);
});
