import { watch } from "node:fs";
import type { Log } from "../log.ts";
import type { DeviceWatch } from "./session.ts";

const DEVICE = /^(hidraw|tty|serial)/;
/** Devices, not consoles. */
const PLUGGED = /^(hidraw|ttyUSB|ttyACM)/;

/**
 * Tells when a device node of a reader comes, goes or changes its owner. Where the kernel has no watches left, readers are still found,
 * by their back-off; the log says so.
 */
export function watchDevices(log: Log, directory = "/dev"): DeviceWatch {
  return (onChange) => {
    const failed = (error: unknown) =>
      log.warn({ err: error }, "cannot watch for plugged-in readers; they are looked for every 30 s");
    try {
      const watcher = watch(directory, { persistent: false }, (event, name) => {
        if (name === null) return;
        // The node is root's at first; that udev has made it ours is a `change`. So is every line written to a console.
        if (event === "rename" ? DEVICE.test(name) : PLUGGED.test(name)) onChange();
      });
      watcher.on("error", failed);
      return () => watcher.close();
    } catch (error) {
      failed(error);
      return () => {};
    }
  };
}
