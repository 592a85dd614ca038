import { setTimeout as wait } from "node:timers/promises";

const INTERVAL_MS = 5;

/** Asks again and again until `look` gives something; rejects with `what` when `ms` are over. */
export async function until<T>(
  what: string,
  look: () => T | undefined | false | Promise<T | undefined | false>,
  ms = 10_000,
): Promise<T> {
  const deadline = performance.now() + ms;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > deadline) throw new Error(`not within ${ms} ms: ${what}`);
    await wait(INTERVAL_MS);
  }
}
