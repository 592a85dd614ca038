import { ReaderError } from "../../drivers/reader.ts";
import type { Transport, TransportListener } from "../../drivers/transports/transport.ts";

export interface PcProxCard {
  /** All its bits, parity included, the first one transmitted highest. */
  readonly word: bigint;
  readonly bits: number;
}

/** What the recorded reader has in EEPROM: strips one bit before and one after, types decimal numbers and Enter. */
export const FACTORY = ["030511101ab32804", "0006280a05050000", "0000000000000000"] as const;

const PAGE_CODES = [0x80, 0x81, 0x82];

/**
 * An rf IDEAS pcProx reader as its protocol description has it, strict where that is silent: what follows a page's code
 * is that page's content, whatever it looks like, and between a page's code and 90 no card is read.
 */
export class PcProx {
  card: PcProxCard | undefined;
  /** Takes page 0 but not the bit that halts its keystrokes. */
  refusesHalt = false;
  /** Goes on stripping bits, whatever page 0 says. */
  refusesBits = false;
  readonly eeprom: Uint8Array[];
  /** Feature reports that were set, in hexadecimal. */
  readonly set: string[] = [];
  /** EEPROM pages written: each one wears it. */
  eepromWrites = 0;
  #ram: Uint8Array[] = [];
  #awaits: number | undefined;
  #reply = new Uint8Array(8);
  #suspended = false;

  constructor(eeprom: readonly string[] = FACTORY) {
    this.eeprom = eeprom.map((page) => new Uint8Array(Buffer.from(page, "hex")));
    this.powerCycle();
  }

  /** What is in RAM, in hexadecimal. */
  get pages(): string[] {
    return this.#ram.map((page) => Buffer.from(page).toString("hex"));
  }

  get suspended(): boolean {
    return this.#suspended;
  }

  /** Would type the card's number. */
  get types(): boolean {
    return ((this.#ram[0]?.[7] ?? 0) & 0x80) === 0;
  }

  get lamps(): string {
    const [lamps = 0, flags = 0] = this.#ram[2] ?? [];
    if ((flags & 2) === 0) return "own";
    return ["dark", "red", "green", "amber"][lamps & 3] ?? "";
  }

  powerCycle(): void {
    this.#ram = this.eeprom.map((page) => Uint8Array.from(page));
    this.#awaits = undefined;
    this.#suspended = false;
  }

  setFeature(report: Uint8Array): void {
    this.set.push(Buffer.from(report).toString("hex"));
    if (this.#awaits !== undefined) {
      const page = Uint8Array.from(report);
      const before = this.#ram[this.#awaits];
      if (this.#awaits === 0 && this.refusesHalt) page[7] = (page[7] ?? 0) & 0x7f;
      if (this.#awaits === 0 && this.refusesBits) page[2] = before?.[2] ?? 0;
      this.#ram[this.#awaits] = page;
      this.#awaits = undefined;
      return;
    }
    const [code = 0, mask = 0] = report;
    const page = PAGE_CODES.indexOf(code);
    this.#reply = new Uint8Array(8);
    if (page !== -1) {
      this.#awaits = page;
      this.#suspended = true;
      this.#reply = Uint8Array.from(this.#ram[page] ?? []);
    } else if (code === 0x8a) this.#reply = Uint8Array.of(0, 0, 0x37, 0x16, 0, 0x01, 0x05, 0);
    else if (code === 0x8f) this.#reply = this.#data();
    else if (code === 0x8e) this.#reply = this.#measure();
    else if (code === 0x90) {
      this.#suspended = false;
      for (const at of [0, 1, 2]) {
        if ((mask & (1 << at)) === 0) continue;
        this.eepromWrites += 1;
        this.eeprom[at] = Uint8Array.from(this.#ram[at] ?? []);
      }
    }
  }

  getFeature(): Uint8Array {
    this.#awaits = undefined;
    return Uint8Array.from(this.#reply);
  }

  /** Its bits without those that are stripped, as a number. */
  #stripped(): { word: bigint; bits: number } | undefined {
    if (this.card === undefined || this.#suspended) return undefined;
    const strip = this.#ram[0]?.[2] ?? 0;
    const bits = Math.max(0, this.card.bits - (strip & 15) - (strip >> 4));
    return { word: BigInt.asUintN(bits, this.card.word >> BigInt(strip >> 4)), bits };
  }

  #data(): Uint8Array<ArrayBuffer> {
    const reply = new Uint8Array(8);
    let word = this.#stripped()?.word ?? 0n;
    for (let at = 0; at < 8; at += 1) {
      reply[at] = Number(word & 0xffn);
      word >>= 8n;
    }
    return reply;
  }

  #measure(): Uint8Array<ArrayBuffer> {
    const bits = this.#stripped()?.bits ?? 0;
    return Uint8Array.of(bits, bits, 0, 0, 0, 0, 0, 0);
  }
}

/** The cable to a `PcProx`: each feature report is one write, an empty one gets one. */
export class PcProxCable implements Transport {
  readonly device: PcProx;
  /** Called before each report; what it throws is what the kernel says, what it returns is said in the reader's place. */
  fault: (report: Uint8Array) => Uint8Array | undefined = () => undefined;
  opens = 0;
  #listener: TransportListener | undefined;

  constructor(device: PcProx) {
    this.device = device;
  }

  get isOpen(): boolean {
    return this.#listener !== undefined;
  }

  describe(): string {
    return "pcprox";
  }

  async open(listener: TransportListener): Promise<void> {
    this.opens += 1;
    this.#listener = listener;
  }

  async write(report: Uint8Array): Promise<void> {
    const listener = this.#listener;
    if (listener === undefined) throw new ReaderError("reader-lost", "not open");
    const instead = this.fault(report);
    if (report.length > 0) this.device.setFeature(report);
    else listener.data(instead ?? this.device.getFeature());
  }

  async close(): Promise<void> {
    this.#listener = undefined;
  }

  unplug(): void {
    const listener = this.#listener;
    this.#listener = undefined;
    this.device.powerCycle();
    listener?.closed(new ReaderError("reader-lost"));
  }
}
