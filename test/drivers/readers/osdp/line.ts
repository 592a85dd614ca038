import { readFileSync } from "node:fs";
import type { Keys, Read } from "../../../../drivers/reader.ts";
import { type Notice, Panel, type PanelParts, type PanelSettings } from "../../../../drivers/readers/osdp/panel.ts";
import { OsdpPd, type PdOptions } from "../../../sim/osdp-pd.ts";

export const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
export const bytes = (text: string) => Uint8Array.from(Buffer.from(text, "hex"));
/** The key of the recorded conversations: A0, A1 and so on. */
export const SCBK = Uint8Array.from({ length: 16 }, (_, i) => 0xa0 + i);

export const SETTINGS: PanelSettings = {
  address: 1,
  secure: true,
  scbk: SCBK,
  check: "crc16",
  pollMs: 200,
  replyTimeoutMs: 200,
  baudRate: 9600,
};

export interface LineOptions {
  readonly settings?: Partial<PanelSettings>;
  readonly install?: boolean;
  readonly pd?: PdOptions;
  /** Every reply goes through it. */
  readonly onReply?: (reply: Uint8Array) => readonly Uint8Array[];
}

/** A panel and a reader on one line, in time that moves only when told. */
export class Line {
  readonly panel: Panel;
  readonly pd: OsdpPd;
  readonly events: (Read | Keys)[] = [];
  readonly notices: Notice[] = [];
  readonly sent: Uint8Array[] = [];
  readonly #onReply: (reply: Uint8Array) => readonly Uint8Array[];
  now = 0;

  constructor({ settings = {}, install = false, pd = {}, onReply = (reply) => [reply] }: LineOptions = {}) {
    let seed = 0;
    const parts: PanelParts = {
      settings: { ...SETTINGS, ...settings },
      install,
      random: (length) => Uint8Array.from({ length }, () => (seed = (seed * 5 + 17) & 0xff)),
      report: (notice) => this.notices.push(notice),
    };
    this.panel = new Panel(parts);
    this.pd = new OsdpPd({ scbk: SCBK, ...pd });
    this.#onReply = onReply;
    this.panel.open(this.now);
  }

  /** Cards in hexadecimal, keys as they are. */
  get read(): string[] {
    return this.events.map((event) => {
      if (event.kind === "keys") return event.keys;
      return event.kind === "bits" ? `${hex(event.bytes)}:${event.bitLength}` : event.text;
    });
  }

  run(ms: number): this {
    const end = this.now + ms;
    for (;;) {
      const message = this.panel.output(this.now);
      if (message !== undefined) {
        this.sent.push(message);
        for (const reply of this.pd.push(message).flatMap(this.#onReply)) {
          this.now += 1;
          this.events.push(...this.panel.push(reply, this.now));
        }
        continue;
      }
      const { deadline } = this.panel;
      if (deadline === undefined || deadline > end) break;
      this.now = Math.max(this.now, deadline);
      this.events.push(...this.panel.expire(this.now));
    }
    this.now = end;
    return this;
  }
}

/** A line on which the reader is online. */
export function online(options: LineOptions = {}): Line {
  const line = new Line(options).run(500);
  if (!line.panel.online) throw new Error(line.panel.failure?.message ?? "not online");
  return line;
}

export interface Recorded {
  readonly from: "panel" | "reader" | "note";
  /** Hexadecimal, or the words of the note. */
  readonly text: string;
}

/** A conversation that was recorded between a control panel and a reader of another make (libosdp 3.2). */
export function transcript(name: string): Recorded[] {
  const file = new URL(`../../../../../shared/fixtures/${name}.txt`, import.meta.url);
  return readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      if (line.startsWith("ACU> ")) return { from: "panel", text: line.slice(5) };
      if (line.startsWith("PD > ")) return { from: "reader", text: line.slice(5) };
      return { from: "note", text: line.slice(2) };
    });
}
