import type { Clock } from "../clock.ts";

export const PRESENCE_MS = 30_000;

/**
 * The safety net below the kernel's own news: asks now and then whether an open device is still there, and calls `gone`,
 * once, when it is not. The returned function ends it. `isThere` must not throw.
 */
export function watchPresence(clock: Clock, isThere: () => Promise<boolean>, gone: () => void): () => void {
  let over = false;
  let cancel = () => {};
  const again = () => {
    cancel = clock.after(PRESENCE_MS, () => {
      void isThere().then((there) => {
        if (over) return;
        if (there) again();
        else gone();
      });
    });
  };
  again();
  return () => {
    over = true;
    cancel();
  };
}
