import type { Reader } from "../../reader.ts";
import { HidTransport } from "../../transports/hid.ts";
import { binaryShape } from "../capture.ts";
import type { ReaderContext } from "../context.ts";
import { watchDevices } from "../device-watch.ts";
import { ReaderSession } from "../session.ts";
import { usbRemedies } from "../usb-remedy.ts";
import { KeyboardDecoder } from "./decoder.ts";
import { KeypadDecoder } from "./keypad.ts";
import type { HidKeyboardSettings } from "./settings.ts";

/** Each read of a reader with the wrong layout would say the same. */
const HINT_EVERY_MS = 600_000;

export function openHidKeyboard(settings: HidKeyboardSettings, context: ReaderContext): Reader {
  const log = context.log.child({ reader: settings.name });
  let hintedAt = Number.NEGATIVE_INFINITY;
  const decoder = new KeyboardDecoder(settings, (fits) => {
    const now = context.clock.monotonic();
    if (fits.length === 0 || now - hintedAt < HINT_EVERY_MS) return;
    hintedAt = now;
    log.warn(
      { layout: settings.layout, fits },
      "the reader types mostly symbols: it seems to be set to another keyboard layout; set `layout`, or set the reader",
    );
  });
  return new ReaderSession({
    settings,
    decoder: settings.keypad === "only" ? new KeypadDecoder() : decoder,
    // A report is numbers of keys, not characters: by its text some keys would look unlike others.
    shapeOf: binaryShape,
    transport: context.transport ?? new HidTransport(settings, { clock: context.clock, log }),
    context,
    watch: watchDevices(context.log),
    mend: usbRemedies(settings, context),
  });
}
