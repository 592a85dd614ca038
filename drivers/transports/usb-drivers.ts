import { readdir } from "node:fs/promises";
import { join } from "node:path";

/** Drivers of Linux's own NFC stack. They take readers with a PN532 or PN533, such as the ACR122U, before pcscd can. */
export const NFC_DRIVERS: readonly string[] = ["pn533_usb", "port100"];

/** A USB interface as sysfs names it: bus, ports, configuration, interface. */
const INTERFACE = /^\d+-\d+(\.\d+)*:\d+\.\d+$/;

/** Which of what stands in a driver's folder in sysfs are devices that it holds. */
export function heldInterfaces(entries: readonly string[]): readonly string[] {
  return entries.filter((entry) => INTERFACE.test(entry));
}

/** The driver and the first device that it holds, as `pn533_usb at 1-1.2:1.0`; undefined when none holds one. */
export async function heldByKernel(usbDrivers: string): Promise<string | undefined> {
  for (const driver of NFC_DRIVERS) {
    const [held] = heldInterfaces(await entriesOf(join(usbDrivers, driver)));
    if (held !== undefined) return `${driver} at ${held}`;
  }
  return undefined;
}

/** None where there is no such driver. */
async function entriesOf(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder);
  } catch {
    return [];
  }
}
