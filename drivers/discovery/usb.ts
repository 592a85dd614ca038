import { constants } from "node:fs";
import { open, readdir, readlink } from "node:fs/promises";
import { basename, join } from "node:path";
import { isKeyboard } from "../transports/hid-report.ts";
import type { UsbFunction } from "./fingerprints.ts";

/**
 * What is plugged in, as the kernel shows it in sysfs and /dev; no process is started and no device is opened. Every string
 * of a device is its maker's, or an attacker's: it is cut and made printable here, and what does not make sense is left out.
 */
export interface UsbDevice {
  /** The kernel's name and the way through the hubs: `1-1.2`. */
  readonly name: string;
  readonly vendorId: number;
  readonly productId: number;
  /** Printable; undefined where the device says nothing. */
  readonly manufacturer: string | undefined;
  readonly product: string | undefined;
  /** Only one that can be written into the configuration and compared: printable ASCII. */
  readonly serialNumber: string | undefined;
  readonly interfaces: readonly UsbInterface[];
  readonly functions: readonly UsbFunction[];
  readonly hidraw: readonly HidNode[];
  readonly ttys: readonly SerialNode[];
}

export interface UsbInterface {
  readonly number: number;
  readonly class: number;
  readonly subclass: number;
  readonly protocol: number;
  /** The kernel's driver that holds it. */
  readonly driver: string | undefined;
}

export interface HidNode {
  /** `/dev/hidraw0` */
  readonly path: string;
  readonly interface: number;
  /** HID_PHYS up to its slash, the same for all interfaces of a device: `usb-0000:01:00.0-1.2`. */
  readonly port: string | undefined;
  readonly keyboard: boolean;
  /** Whether each of its input devices keeps its keys from the console; undefined where it has none. */
  readonly inhibited: boolean | undefined;
}

export interface SerialNode {
  /** `/dev/ttyUSB0` */
  readonly path: string;
  readonly interface: number;
  /** Names of udev that stay: by the serial number, and by the USB socket. */
  readonly byId: string | undefined;
  readonly byPath: string | undefined;
}

/** A serial port of the board itself. */
export interface Uart {
  readonly path: string;
  /** `/dev/serial0`, where the Pi has given it one. */
  readonly alias: string | undefined;
  /** The kernel writes its messages there, or a login waits. */
  readonly console: boolean;
}

export interface Plugged {
  readonly usb: readonly UsbDevice[];
  readonly uarts: readonly Uart[];
}

const MAX_DEVICES = 128;
const MAX_CHILDREN = 64;
const MAX_BYTES = 4096;
const MAX_TEXT = 126;

const HID_CLASS = 0x03;
const CCID_CLASS = 0x0b;

/** `root` is `/`, or a test's. Never throws: what cannot be read is not there. */
export async function scanPlugged(root = "/"): Promise<Plugged> {
  const links = await serialLinks(root);
  const directory = join(root, "sys/bus/usb/devices");
  const usb: UsbDevice[] = [];
  // Interfaces have a colon; root hubs are called `usb1`.
  for (const name of (await list(directory)).filter((entry) => /^\d+-\d+(\.\d+)*$/.test(entry)).slice(0, MAX_DEVICES)) {
    const device = await usbDevice(join(directory, name), name, links);
    if (device !== undefined) usb.push(device);
  }
  usb.sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));
  return { usb, uarts: await uarts(root) };
}

async function usbDevice(directory: string, name: string, links: SerialLinks): Promise<UsbDevice | undefined> {
  const [vendorId, productId] = [await hex(directory, "idVendor", 4), await hex(directory, "idProduct", 4)];
  if (vendorId === undefined || productId === undefined) return undefined;
  const interfaces: UsbInterface[] = [];
  const hidraw: HidNode[] = [];
  const ttys: SerialNode[] = [];
  const children = (await list(directory)).filter((entry) => entry.startsWith(`${name}:`)).slice(0, MAX_CHILDREN);
  for (const child of children) {
    const place = join(directory, child);
    const described = await usbInterface(place);
    if (described === undefined) continue;
    interfaces.push(described);
    hidraw.push(...(await hidNodes(place, described)));
    ttys.push(...(await serialNodes(place, described.number, links)));
  }
  const byNumber = (a: { interface: number }, b: { interface: number }) => a.interface - b.interface;
  return {
    name,
    vendorId,
    productId,
    manufacturer: shown(await text(directory, "manufacturer")),
    product: shown(await text(directory, "product")),
    serialNumber: comparable(await text(directory, "serial")),
    interfaces: interfaces.sort((a, b) => a.number - b.number),
    functions: functionsOf(interfaces, hidraw, ttys),
    hidraw: hidraw.sort(byNumber),
    ttys: ttys.sort(byNumber),
  };
}

async function usbInterface(directory: string): Promise<UsbInterface | undefined> {
  const [number, kind, subclass, protocol] = [
    await hex(directory, "bInterfaceNumber", 2),
    await hex(directory, "bInterfaceClass", 2),
    await hex(directory, "bInterfaceSubClass", 2),
    await hex(directory, "bInterfaceProtocol", 2),
  ];
  if (number === undefined || kind === undefined || subclass === undefined || protocol === undefined) return undefined;
  return { number, class: kind, subclass, protocol, driver: await linkName(join(directory, "driver")) };
}

function functionsOf(
  interfaces: readonly UsbInterface[],
  hidraw: readonly HidNode[],
  ttys: readonly SerialNode[],
): UsbFunction[] {
  const functions: UsbFunction[] = [];
  // HID 1.11 4.2, 4.3: subclass 1, protocol 1 is a boot keyboard.
  const boot = interfaces.some((one) => one.class === HID_CLASS && one.subclass === 1 && one.protocol === 1);
  if (boot || hidraw.some(({ keyboard }) => keyboard)) functions.push("keyboard");
  else if (interfaces.some((one) => one.class === HID_CLASS)) functions.push("hid");
  if (ttys.length > 0) functions.push("serial");
  if (interfaces.some((one) => one.class === CCID_CLASS)) functions.push("ccid");
  return functions;
}

/** Below an interface: `0003:09D8:0410.0001/hidraw/hidraw0`, and beside it `input/input5/inhibited`. */
async function hidNodes(directory: string, { number }: UsbInterface): Promise<HidNode[]> {
  const nodes: HidNode[] = [];
  const hids = (await list(directory)).filter((entry) =>
    /^[0-9A-F]{4}:[0-9A-F]{4}:[0-9A-F]{4}\.[0-9A-F]{4,8}$/.test(entry),
  );
  for (const hid of hids.slice(0, MAX_CHILDREN)) {
    const place = join(directory, hid);
    const phys = /^HID_PHYS=([^/\n]*)/m.exec((await text(place, "uevent")) ?? "")?.[1];
    const descriptor = (await bytes(join(place, "report_descriptor"))) ?? Buffer.alloc(0);
    const inhibited: boolean[] = [];
    for (const input of (await list(join(place, "input"))).slice(0, MAX_CHILDREN)) {
      const value = await text(join(place, "input", input), "inhibited");
      if (value !== undefined) inhibited.push(value === "1");
    }
    for (const raw of (await list(join(place, "hidraw"))).filter((entry) => /^hidraw\d+$/.test(entry))) {
      nodes.push({
        path: `/dev/${raw}`,
        interface: number,
        port: comparable(phys),
        keyboard: isKeyboard(descriptor),
        inhibited: inhibited.length === 0 ? undefined : inhibited.every(Boolean),
      });
    }
  }
  return nodes;
}

/** `1-1:1.0/tty/ttyACM0` of cdc-acm, `1-1:1.0/ttyUSB0` of the bridges' drivers. */
async function serialNodes(directory: string, number: number, links: SerialLinks): Promise<SerialNode[]> {
  const found = [...(await list(join(directory, "tty"))), ...(await list(directory))];
  const names = new Set(found.filter((entry) => /^tty(ACM|USB)\d+$/.test(entry)));
  return [...names].map((name) => ({
    path: `/dev/${name}`,
    interface: number,
    byId: links.byId.get(name),
    byPath: links.byPath.get(name),
  }));
}

interface SerialLinks {
  readonly byId: ReadonlyMap<string, string>;
  readonly byPath: ReadonlyMap<string, string>;
}

/** udev's lasting names of serial devices, by the kernel's. */
async function serialLinks(root: string): Promise<SerialLinks> {
  const of = async (folder: string) => {
    const names = new Map<string, string>();
    for (const entry of (await list(join(root, folder))).slice(0, MAX_DEVICES)) {
      const node = await linkName(join(root, folder, entry));
      // Of several names the first in order, so that each run says the same. What cannot be copied is no use.
      const path = comparable(`/${folder}/${entry}`);
      if (node !== undefined && path !== undefined && !names.has(node)) names.set(node, path);
    }
    return names;
  };
  return { byId: await of("dev/serial/by-id"), byPath: await of("dev/serial/by-path") };
}

async function uarts(root: string): Promise<Uart[]> {
  const directory = join(root, "sys/class/tty");
  const consoles = ((await text(join(directory, "console"), "active")) ?? "").split(" ");
  const aliases = new Map<string, string>();
  for (const alias of ["serial0", "serial1"]) {
    const node = await linkName(join(root, "dev", alias));
    if (node !== undefined) aliases.set(node, `/dev/${alias}`);
  }
  const found: Uart[] = [];
  for (const name of (await list(directory)).filter((entry) => /^tty(S|AMA)\d+$/.test(entry))) {
    // Of the kernel's placeholders the type is 0: no such port was found.
    const type = await text(join(directory, name), "type");
    if (type === undefined || type === "0") continue;
    found.push({ path: `/dev/${name}`, alias: aliases.get(name), console: consoles.includes(name) });
  }
  return found.slice(0, MAX_CHILDREN);
}

async function list(directory: string): Promise<string[]> {
  return (await readdir(directory).catch((): string[] => [])).sort();
}

async function linkName(link: string): Promise<string | undefined> {
  return basename(await readlink(link).catch(() => "")) || undefined;
}

/** At most `MAX_BYTES` of a file; undefined where there is none. Non-blocking, for whatever it may be. */
async function bytes(file: string): Promise<Buffer | undefined> {
  try {
    const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const buffer = Buffer.alloc(MAX_BYTES);
      const { bytesRead } = await handle.read(buffer, 0, MAX_BYTES, 0);
      return buffer.subarray(0, bytesRead);
    } finally {
      await handle.close();
    }
  } catch {
    return undefined;
  }
}

async function text(directory: string, name: string): Promise<string | undefined> {
  return (await bytes(join(directory, name)))?.toString("utf8").replace(/\n$/, "");
}

/** Exactly `digits` hexadecimal digits. */
async function hex(directory: string, name: string, digits: number): Promise<number | undefined> {
  const value = (await text(directory, name))?.trim() ?? "";
  return value.length === digits && /^[0-9a-fA-F]+$/.test(value) ? Number.parseInt(value, 16) : undefined;
}

/** For a terminal: no control character, no character that turns the writing around, not long. */
function shown(value: string | undefined): string | undefined {
  const clean = value
    ?.slice(0, MAX_TEXT)
    .replace(/[^\x20-\x7e]/g, "?")
    .trim();
  return clean === "" ? undefined : clean;
}

/** Whole or not at all. */
function comparable(value: string | undefined): string | undefined {
  return value !== undefined && /^[\x20-\x7e]{1,126}$/.test(value) && value.trim() !== "" ? value : undefined;
}
