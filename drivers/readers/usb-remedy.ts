import { constants } from "node:fs";
import { access, readFile, realpath, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { type Clock, pause } from "../clock.ts";
import { scanPlugged, type UsbDevice } from "../discovery/usb.ts";
import type { HidSelector } from "../transports/hid.ts";
import { openWithin } from "../transports/open-within.ts";
import type { Remedy } from "./session-machine.ts";

/** The reader whose USB device is meant: by the path of its serial port, or by its ids. */
export type UsbReader = { readonly path: string } | HidSelector;

export interface UsbSurroundings {
  readonly clock: Clock;
  /** `/`, or a test's. */
  readonly root?: string;
  /** In place of a write to sysfs, for tests. */
  readonly write?: (file: string, value: string) => Promise<void>;
}

/** A wedged device answers none of the kernel's questions, each of which then takes 5 s. */
const REMEDY_MS = 15_000;
/** The kernel refuses an attribute for a moment while it works on the device. */
const TRIES = 5;
const TRY_AGAIN_MS = 200;

const HUB_CLASS = "09";
/** The kernel's drivers for what a reader is. A device that something else uses too is not reset under its feet. */
const READER_DRIVERS: ReadonlySet<string> = new Set([
  "usbhid",
  "cdc_acm",
  "ftdi_sio",
  "ch341",
  "cp210x",
  "pl2303",
  "usbserial_generic",
  // Held from user space: the PC/SC daemon.
  "usbfs",
]);

/** Why nothing was done; the session logs it and goes on. */
export class RemedyRefused extends Error {}

/**
 * What may wake a deaf USB reader, in the order of the session's ladder: `power-on` forbids the kernel to suspend the
 * device; `reset` takes its configuration away and gives it back (`authorized` 0, then 1), which unbinds and binds the
 * drivers and makes most firmware begin anew. That attribute and not USBDEVFS_RESET, because a write to it happens off the
 * main thread: the ioctl of a wedged device would hold the whole agent for seconds.
 *
 * Only ever the reader's own device: one that is not found, or two that fit, or one that is not only a reader is refused.
 */
export function usbRemedies(reader: UsbReader, surroundings: UsbSurroundings): (remedy: Remedy) => Promise<void> {
  const { clock, root = "/", write = set } = surroundings;
  return (remedy) => {
    const late = () => new RemedyRefused("took too long");
    // What is late goes on: a device that was taken away is given back however long it takes.
    return openWithin(clock, REMEDY_MS, apply(remedy, reader, { clock, root, write }), () => {}, late);
  };
}

async function apply(remedy: Remedy, reader: UsbReader, surroundings: Required<UsbSurroundings>): Promise<void> {
  const { root, write } = surroundings;
  const device = await find(reader, root);
  const directory = join(root, "sys/bus/usb/devices", device.name);
  switch (remedy) {
    case "power-on":
      return write(join(directory, "power/control"), "on");
    case "reset":
      return reset(device, directory, surroundings);
  }
}

async function find(reader: UsbReader, root: string): Promise<UsbDevice> {
  const plugged = await scanPlugged(root);
  if ("path" in reader) {
    const node = `/dev/${basename(await realpath(join(root, reader.path)).catch(() => reader.path))}`;
    const device = plugged.usb.find(({ ttys }) => ttys.some(({ path }) => path === node));
    if (device !== undefined) return device;
    const isBoards = plugged.uarts.some(({ path }) => path === node);
    throw new RemedyRefused(isBoards ? `${node} is no USB device` : `${node} is not there`);
  }
  const { vendorId, productId, serialNumber, port } = reader;
  const [device, ...others] = plugged.usb.filter(
    (one) =>
      one.vendorId === vendorId &&
      one.productId === productId &&
      (serialNumber === undefined || one.serialNumber === serialNumber) &&
      (port === undefined || one.hidraw.some((node) => node.port === port)),
  );
  if (device === undefined) throw new RemedyRefused("there is no such device");
  // Two readers of one kind: the other one may be reading a card at this moment.
  if (others.length > 0) throw new RemedyRefused(`${others.length + 1} devices fit, and only one of them is meant`);
  return device;
}

async function reset(
  { name, interfaces, ttys }: UsbDevice,
  directory: string,
  surroundings: Required<UsbSurroundings>,
): Promise<void> {
  if ((await attribute(directory, "bDeviceClass")) === HUB_CLASS) throw new RemedyRefused(`${name} is a hub`);
  const other = interfaces.find(({ driver }) => driver !== undefined && !READER_DRIVERS.has(driver))?.driver;
  if (other !== undefined) throw new RemedyRefused(`${name} is not only a reader: ${other} uses it too`);
  if (ttys.length > 1) throw new RemedyRefused(`${name} has ${ttys.length} serial ports; others may be in use`);
  const authorized = join(directory, "authorized");
  // Somebody, such as usbguard, keeps it out on purpose.
  if ((await attribute(directory, "authorized")) !== "1") throw new RemedyRefused(`${name} is not authorized`);
  // Without this a right that is half there could take the device away and not give it back.
  await access(authorized, constants.W_OK);
  try {
    await surroundings.write(authorized, "0");
  } finally {
    await giveBack(authorized, surroundings);
  }
}

async function giveBack(authorized: string, { clock, write }: Required<UsbSurroundings>): Promise<void> {
  for (let i = 1; ; i += 1) {
    try {
      return await write(authorized, "1");
    } catch (error) {
      // Gone with its device: it was unplugged meanwhile, and comes back authorized.
      if (i === TRIES || (error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
      await pause(clock, TRY_AGAIN_MS);
    }
  }
}

/** `r+`, so that no file comes into being where an attribute vanished. */
function set(file: string, value: string): Promise<void> {
  return writeFile(file, value, { flag: "r+" });
}

async function attribute(device: string, name: string): Promise<string | undefined> {
  return (await readFile(join(device, name), "latin1").catch(() => undefined))?.replace(/\n$/, "");
}
