import type { Clock } from "../clock.ts";

/**
 * The result of `opening`, or the error of `late` when it takes longer than `ms`.
 * What arrives after that is given to `discard`, so that no handle stays open that nobody holds.
 */
export function openWithin<T>(
  clock: Clock,
  ms: number,
  opening: Promise<T>,
  discard: (opened: T) => void,
  late: () => Error,
): Promise<T> {
  return new Promise((resolve, reject) => {
    let over = false;
    const cancel = clock.after(ms, () => {
      over = true;
      reject(late());
    });
    opening.then(
      (opened) => {
        if (over) return discard(opened);
        cancel();
        resolve(opened);
      },
      (error: unknown) => {
        // After the deadline this rejection changes nothing: the promise is settled.
        cancel();
        reject(error);
      },
    );
  });
}
