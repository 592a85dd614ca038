import type { HidSelector } from "../transports/hid.ts";
import { NFC_DRIVERS } from "../transports/usb-drivers.ts";
import { type Guess, identify } from "./fingerprints.ts";
import type { Plugged, SerialNode, UsbDevice } from "./usb.ts";

/** One thing that is plugged in and may be a reader. */
export interface Candidate {
  /** How the command line names it: the USB socket `1-1.2`, or the node of a serial port. */
  readonly key: string;
  readonly guess: Guess;
  /** `09d8:0410`; undefined for a serial port of the board. */
  readonly ids: string | undefined;
  /** What the device says of itself. */
  readonly says: string | undefined;
  readonly serialNumber: string | undefined;
  readonly nodes: readonly string[];
  /** How it is found again as a HID device: by the least that tells it from its like. */
  readonly hid: HidSelector | undefined;
  /** How it is found again as a serial port. */
  readonly path: string | undefined;
  /** All names of its serial port. */
  readonly paths: readonly string[];
  /** The USB socket as the kernel's HID_PHYS names it. */
  readonly port: string | undefined;
  /** Its keys go to the console as well. */
  readonly typesToConsole: boolean;
  /** The kernel's NFC driver has it, and keeps PC/SC from it. */
  readonly heldByNfc: boolean;
}

/** Pure: what of all that is plugged in may be a reader. */
export function candidatesOf({ usb, uarts }: Plugged): Candidate[] {
  const ofUsb = usb.flatMap((device) => {
    const guess = identify(device.vendorId, device.productId, device.functions);
    if (guess === undefined) return [];
    // An adapter with several ports may have a reader at each.
    if (device.ttys.length > 1) return device.ttys.map((tty) => ofDevice(device, guess, usb, tty));
    return [ofDevice(device, guess, usb, device.ttys[0])];
  });
  const ofBoard = uarts.map(({ path, alias, console }) => {
    const note = console ? "The system's console uses it: turn the serial console off first." : undefined;
    return serialPort(path, alias, note);
  });
  return [...ofUsb, ...ofBoard];
}

/** A serial port that belongs to no USB device. */
export function serialPort(path: string, alias?: string, note = "Anything may be behind it."): Candidate {
  const families = ["serial-line", "twn4-simple", "rfideas-acp", "osdp"] as const;
  return {
    key: path,
    guess: { product: "a serial port of the board", families, confidence: "low", note },
    ids: undefined,
    says: undefined,
    serialNumber: undefined,
    nodes: [path],
    hid: undefined,
    path: alias ?? path,
    paths: alias === undefined ? [path] : [path, alias],
    port: undefined,
    typesToConsole: false,
    heldByNfc: false,
  };
}

function ofDevice(device: UsbDevice, guess: Guess, all: readonly UsbDevice[], tty: SerialNode | undefined): Candidate {
  const alike = all.filter((other) => other.vendorId === device.vendorId && other.productId === device.productId);
  // Cheap readers of one kind often share a serial number.
  const unique = alike.filter((other) => other.serialNumber === device.serialNumber).length === 1;
  // Without a serial number, one of which we are not sure is taken in its own socket only.
  const alone = alike.length === 1 && guess.confidence === "high";
  const { name, vendorId, productId, manufacturer, product, hidraw } = device;
  const serialNumber = unique ? device.serialNumber : undefined;
  const port = hidraw.find((node) => node.port !== undefined)?.port;
  const says = [manufacturer, product].filter((part) => part !== undefined).join(" ");
  const paths = tty === undefined ? [] : [tty.byId, tty.byPath, tty.path].filter((path) => path !== undefined);
  return {
    key: device.ttys.length > 1 && tty !== undefined ? tty.path : name,
    guess,
    ids: `${hex(vendorId)}:${hex(productId)}`,
    says: says === "" ? undefined : says,
    serialNumber: device.serialNumber,
    nodes: [...hidraw.map(({ path }) => path), ...(tty === undefined ? [] : [tty.path])],
    hid: hidraw.length === 0 ? undefined : selector(device, serialNumber, alone ? undefined : port),
    // Without a serial number of its own the name by id goes to whichever device of its kind was plugged in last.
    path: tty === undefined ? undefined : ((serialNumber === undefined ? tty.byPath : tty.byId) ?? paths[0]),
    paths,
    port,
    typesToConsole: hidraw.some(({ keyboard, inhibited }) => keyboard && inhibited === false),
    heldByNfc: device.interfaces.some(({ driver }) => driver !== undefined && NFC_DRIVERS.includes(driver)),
  };
}

/** By its serial number in any socket, else by the socket that is given. */
function selector(
  { vendorId, productId }: UsbDevice,
  serialNumber: string | undefined,
  port: string | undefined,
): HidSelector {
  if (serialNumber !== undefined) return { vendorId, productId, serialNumber };
  return port === undefined ? { vendorId, productId } : { vendorId, productId, port };
}

/** Whether `word` of a command line means this one. */
export function isNamed({ key, ids, nodes, paths, serialNumber }: Candidate, word: string): boolean {
  return [key, ids, serialNumber, ...nodes, ...paths].includes(word);
}

function hex(id: number): string {
  return id.toString(16).padStart(4, "0");
}
