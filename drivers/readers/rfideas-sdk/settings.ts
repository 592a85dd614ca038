import type { CommonSettings } from "../session.ts";

/** rf IDEAS pcProx readers, which are keyboards that also answer to feature reports. */
export const PCPROX = { vendorId: 0x0c27, productId: 0x3bfa } as const;

export interface RfIdeasSdkSettings extends CommonSettings {
  readonly family: "rfideas-sdk";
  /** USB ids, 0..0xffff. Default `PCPROX`. */
  readonly vendorId: number;
  readonly productId: number;
  /** Tells apart two readers of one kind that have serial numbers. */
  readonly serialNumber?: string | undefined;
  /** Tells apart two readers of one kind by USB socket: the kernel's HID_PHYS up to its slash. */
  readonly port?: string | undefined;
}
