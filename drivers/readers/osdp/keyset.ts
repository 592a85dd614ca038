import { ReaderError, type ReaderState } from "../../reader.ts";
import { type OsdpContext, osdpSession } from "./driver.ts";
import { sameBytes } from "./secure-channel.ts";
import { DEFAULT_KEY, type OsdpSettings } from "./settings.ts";

export interface KeysetReport {
  /** `had`: the reader had this key already, and nothing was written. */
  readonly outcome: "given" | "had";
}

/** Longer than a handshake with each key, the write and a reader that is busy take. */
const KEYSET_MS = 15_000;

/**
 * A technician's explicit action, with the line in view: gives the reader `settings.scbk`. The reader must have that key
 * already, or still the default key, under which the new one travels: whoever listens on the line now can read it.
 * Resolves only when the reader has proven the new key on a channel of its own.
 * @throws ReaderError: reader-keyset-failed, reader-secure-channel-failed (it has another key), or why it cannot be reached.
 */
export async function keyset(settings: OsdpSettings, context: OsdpContext): Promise<KeysetReport> {
  const { scbk } = settings;
  if (scbk === undefined || sameBytes(scbk, DEFAULT_KEY)) {
    throw new ReaderError("reader-keyset-failed", "there is no key of its own in `scbk`");
  }
  const reader = osdpSession({ ...settings, secure: true }, context, true);
  const ended = Promise.withResolvers<ReaderState>();
  const cancel = context.clock.after(KEYSET_MS, () => ended.reject(new ReaderError("reader-deaf", "took too long")));
  try {
    reader.start({
      read() {},
      keys() {},
      state(state) {
        if (state.error !== undefined) ended.reject(state.error);
        else if (state.status === "ready") ended.resolve(state);
      },
    });
    await ended.promise;
    return { outcome: (reader.counters.keysets ?? 0) > 0 ? "given" : "had" };
  } finally {
    cancel();
    await reader.stop();
  }
}
