/**
 * What becomes of the sentinels of a magnetic stripe reader, as in `%B0123456^NAME?;0123456=99?` (ISO/IEC 7811: `%` begins
 * track 1, `;` track 2, `?` ends each; MagTek readers write `+` or `!` before track 3).
 * `keep`: they are delivered. `strip`: the frame is one track, and only what is in it is delivered; `*.../` too, as some readers
 * send it. `track-1`, `track-2`, `track-3`: of one or several tracks the contents of that one.
 */
export const SENTINELS = ["keep", "strip", "track-1", "track-2", "track-3"] as const;
export type Sentinels = (typeof SENTINELS)[number];

interface Track {
  readonly start: string;
  readonly contents: string;
}

/** `+` and `!`: MagTek, RS-232 swipe reader manuals; the stripe itself has the same sentinel on tracks 2 and 3. */
const STARTS: Readonly<Record<Exclude<Sentinels, "keep">, string>> = {
  strip: "%;+!*",
  "track-1": "%",
  "track-2": ";",
  "track-3": "+!",
};

/** What the reader writes in place of a track that it could not read (same manuals): `%E?`. */
const ERROR = "E";

/**
 * The text of a good frame; otherwise why there is none.
 * A frame of nothing but errors is no read whatever the setting: it would be the same "number" for everybody.
 */
export function takeTrack(sentinels: Sentinels, frame: string): { readonly text: string } | "readError" | "noTrack" {
  const tracks = tracksOf(frame);
  if (tracks?.every(({ contents }) => contents === ERROR)) return "readError";
  if (sentinels === "keep") return { text: frame };
  const meant = tracks?.filter(({ start }) => STARTS[sentinels].includes(start)) ?? [];
  const [track, ...others] = meant;
  // A reader may begin track 3 with `;`, too: of two that could be meant neither is.
  if (track === undefined || others.length > 0 || track.contents === "") return "noTrack";
  return track.contents === ERROR ? "readError" : { text: track.contents };
}

/** Undefined when the frame is anything but whole tracks. */
function tracksOf(frame: string): readonly Track[] | undefined {
  const starred = /^\*([^*/?]*)\/$/.exec(frame);
  if (starred !== null) return [{ start: "*", contents: starred[1] ?? "" }];
  const tracks: Track[] = [];
  const track = /([%;+!])([^?]*)\?/y;
  for (let at = 0; at < frame.length; at = track.lastIndex) {
    track.lastIndex = at;
    const [, start, contents] = track.exec(frame) ?? [];
    if (start === undefined || contents === undefined) return undefined;
    tracks.push({ start, contents });
  }
  return tracks.length > 0 ? tracks : undefined;
}
