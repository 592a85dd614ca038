import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const BOOT_KEYBOARD = Buffer.from(
  "05010906a10175019508050719e029e715002501810295017508810195057501050819012905910295017503910195067508150025ff0507190029ff8100c0",
  "hex",
);
/** One feature report on a vendor's page. */
export const VENDOR_HID = Buffer.from("0600ff0901a1010902150026ff0075089508b102c0", "hex");

export interface FakeInterface {
  /** Class, subclass, protocol in hexadecimal: `030101`. */
  readonly kind: string;
  readonly driver?: string;
  readonly hidraw?: number;
  readonly descriptor?: Uint8Array;
  /** One for each input device. */
  readonly inhibited?: readonly string[];
  /** `ttyUSB0`, `ttyACM0` */
  readonly tty?: string;
  readonly byId?: string;
  readonly byPath?: string;
}

export interface FakeDevice {
  readonly name: string;
  /** `09d8:0410` */
  readonly ids: string;
  readonly serial?: string;
  readonly manufacturer?: string;
  readonly product?: string;
  readonly kind?: string;
  readonly interfaces: readonly FakeInterface[];
}

export const KEYBOARD: FakeInterface = { kind: "030101", driver: "usbhid", hidraw: 0, inhibited: ["1"] };

/** A machine's /sys and /dev as the kernel and udev make them, as far as readers are concerned. */
export class FakeMachine {
  readonly root: string;

  private constructor(root: string) {
    this.root = root;
  }

  static async make(): Promise<FakeMachine> {
    const root = await mkdtemp(join(tmpdir(), "machine-"));
    for (const folder of ["sys/bus/usb/devices", "sys/class/hidraw", "sys/class/tty/console", "dev"]) {
      await mkdir(join(root, folder), { recursive: true });
    }
    await writeFile(join(root, "sys/class/tty/console/active"), "tty1\n");
    return new FakeMachine(root);
  }

  remove(): Promise<void> {
    return rm(this.root, { recursive: true, force: true });
  }

  path(...names: readonly string[]): string {
    return join(this.root, ...names);
  }

  device(name: string, ...names: readonly string[]): string {
    return this.path("sys/bus/usb/devices", name, ...names);
  }

  async plugIn({ name, ids, serial, manufacturer, product, kind = "00", interfaces }: FakeDevice): Promise<void> {
    const [vendorId = "", productId = ""] = ids.split(":");
    await this.#files(this.device(name), {
      idVendor: `${vendorId}\n`,
      idProduct: `${productId}\n`,
      bDeviceClass: `${kind}\n`,
      authorized: "1\n",
      "power/control": "auto\n",
      ...(serial === undefined ? {} : { serial: `${serial}\n` }),
      ...(manufacturer === undefined ? {} : { manufacturer: `${manufacturer}\n` }),
      ...(product === undefined ? {} : { product: `${product}\n` }),
    });
    for (const [number, one] of interfaces.entries()) await this.#interface(name, ids, number, one, serial);
  }

  async #interface(name: string, ids: string, number: number, one: FakeInterface, serial = ""): Promise<void> {
    const place = this.device(name, `${name}:1.${number}`);
    await this.#files(place, {
      bInterfaceNumber: `0${number}\n`,
      bInterfaceClass: `${one.kind.slice(0, 2)}\n`,
      bInterfaceSubClass: `${one.kind.slice(2, 4)}\n`,
      bInterfaceProtocol: `${one.kind.slice(4, 6)}\n`,
    });
    if (one.driver !== undefined) await symlink(`../../../../bus/usb/drivers/${one.driver}`, join(place, "driver"));
    if (one.hidraw !== undefined) {
      const hid = join(place, `0003:${ids.toUpperCase()}.000${one.hidraw + 1}`);
      await this.#files(hid, {
        uevent: `HID_ID=0003:0000\nHID_PHYS=usb-0000:01:00.0-${name.slice(2)}/input${number}\nHID_UNIQ=${serial}\n`,
        report_descriptor: one.descriptor ?? BOOT_KEYBOARD,
        ...Object.fromEntries((one.inhibited ?? []).map((value, i) => [`input/input${i}/inhibited`, `${value}\n`])),
      });
      await mkdir(join(hid, `hidraw/hidraw${one.hidraw}`), { recursive: true });
      await this.#node(`hidraw/hidraw${one.hidraw}`, hid);
    }
    if (one.tty !== undefined) {
      const acm = one.tty.startsWith("ttyACM");
      await mkdir(join(place, acm ? `tty/${one.tty}` : `${one.tty}/tty/${one.tty}`), { recursive: true });
      await this.#node(`tty/${one.tty}`, acm ? place : join(place, one.tty));
      for (const [folder, link] of [
        ["by-id", one.byId],
        ["by-path", one.byPath],
      ] as const) {
        if (link === undefined) continue;
        await mkdir(this.path("dev/serial", folder), { recursive: true });
        await symlink(`../../${one.tty}`, this.path("dev/serial", folder, link));
      }
    }
  }

  /** A node of /dev, and its entry in /sys/class. */
  async #node(entry: string, device: string): Promise<void> {
    await mkdir(this.path("sys/class", entry), { recursive: true });
    await symlink(device, this.path("sys/class", entry, "device"));
    await writeFile(this.path("dev", entry.split("/")[1] ?? ""), "");
  }

  async uart(name: string, type = "32"): Promise<void> {
    await this.#files(this.path("sys/class/tty", name), { type: `${type}\n` });
    await writeFile(this.path("dev", name), "");
  }

  async #files(folder: string, files: Readonly<Record<string, string | Uint8Array>>): Promise<void> {
    for (const [name, content] of Object.entries(files)) {
      const file = join(folder, name);
      await mkdir(join(file, ".."), { recursive: true });
      await writeFile(file, content);
    }
  }

  /** Pulls it out; the nodes of udev go with it. */
  async unplug(name: string, ...nodes: readonly string[]): Promise<void> {
    await rm(this.device(name), { recursive: true });
    for (const node of nodes) {
      await rm(this.path("sys/class", node.startsWith("hidraw") ? "hidraw" : "tty", node), { recursive: true });
      await rm(this.path("dev", node));
    }
  }
}

/** Two readers of one kind, in the ports 1-1.1 and 1-1.2. */
export function twins(serials: readonly [string | undefined, string | undefined]): FakeDevice[] {
  return serials.map((serial, i) => ({
    name: `1-1.${i + 1}`,
    ids: "09d8:0410",
    product: "TWN4",
    ...(serial === undefined ? {} : { serial }),
    interfaces: [{ ...KEYBOARD, hidraw: i }],
  }));
}
