import type { Guest } from "./guest.ts";

/** One HID interface of a USB device that the guest itself is. */
export interface GadgetInterface {
  readonly reportDescriptor: string;
  readonly reportLength: number;
  /** 1 for the boot protocol of `protocol`: 1 is a keyboard, 2 a mouse. */
  readonly subclass?: 0 | 1;
  readonly protocol?: 0 | 1 | 2;
}

export interface GadgetDevice {
  readonly vendorId: number;
  readonly productId: number;
  readonly serialNumber: string;
  readonly interfaces: readonly GadgetInterface[];
}

const FOLDER = "/sys/kernel/config/usb_gadget/reader";

/**
 * A USB device of any ids with any number of HID interfaces, at the guest's own bus (`dummy_hcd`), through the guest's whole
 * USB stack: enumeration, usbhid, hidraw, udev. For readers that QEMU has no device for. Feature reports cannot be answered
 * from here by Linux 6.1: `guest/uhid.ts` can, without the USB part.
 */
export class Gadget {
  readonly #guest: Guest;

  static async plugIn(guest: Guest, device: GadgetDevice): Promise<Gadget> {
    const hex = (id: number) => `0x${id.toString(16).padStart(4, "0")}`;
    const functions = device.interfaces.map(
      ({ reportDescriptor, reportLength, subclass = 0, protocol = 0 }, i) => `
        mkdir functions/hid.${i}
        echo ${subclass} > functions/hid.${i}/subclass
        echo ${protocol} > functions/hid.${i}/protocol
        echo ${reportLength} > functions/hid.${i}/report_length
        echo ${reportDescriptor} | xxd -r -p > functions/hid.${i}/report_desc
        ln -s functions/hid.${i} configs/c.1/`,
    );
    await guest.shell(`set -e
      /sbin/modprobe -a dummy_hcd libcomposite usb_f_hid
      mountpoint -q /sys/kernel/config || mount -t configfs configfs /sys/kernel/config
      mkdir -p ${FOLDER} && cd ${FOLDER}
      echo ${hex(device.vendorId)} > idVendor
      echo ${hex(device.productId)} > idProduct
      mkdir strings/0x409 configs/c.1
      echo ${device.serialNumber} > strings/0x409/serialnumber
      ${functions.join("")}
      ls /sys/class/udc > UDC
      udevadm settle`);
    return new Gadget(guest);
  }

  private constructor(guest: Guest) {
    this.#guest = guest;
  }

  /** Sends reports of one interface, in hex, each when the guest has taken the one before. */
  async send(interfaceNumber: number, reports: readonly string[]): Promise<void> {
    const writes = reports.map((report) => `echo ${report} | xxd -r -p > /dev/hidg${interfaceNumber}`);
    await this.#guest.shell(`set -e\n${writes.join("\n")}`);
  }

  async unplug(): Promise<void> {
    await this.#guest.shell(`cd ${FOLDER} && echo > UDC
      rm configs/c.1/hid.* && rmdir configs/c.1 functions/hid.* strings/0x409 && cd / && rmdir ${FOLDER}`);
  }
}
