import type { Clock } from "../clock.ts";
import type { Log } from "../log.ts";
import { ReaderError } from "../reader.ts";
import { openWithin } from "./open-within.ts";
import { type PcscCard, type PcscLibrary, type PcscReader, PcscService } from "./pcsc-service.ts";
import { pcscdSilence } from "./pcscd-answers.ts";
import type { Transport, TransportListener } from "./transport.ts";
import { heldByKernel } from "./usb-drivers.ts";

/** The first byte of a message that is written; APDUs and escape commands follow theirs. */
export const ASK = { begin: 0, transmit: 1, control: 2, release: 3, connect: 4 } as const;

/**
 * The first byte of a message that comes. `ready` (and the reader's name) answers `begin`; a `transmit` or `control` is
 * answered by `reply` (and the response) or `failed`. `card` (and its ATR), `mute`, `unreachable` and `gone` come by
 * themselves; after `connect`, which is for a card that was torn off for a moment, the first or the third of them come again.
 */
export const TOLD = { ready: 0, card: 1, mute: 2, gone: 3, reply: 4, failed: 5, unreachable: 6 } as const;

export interface PcscContext {
  readonly clock: Clock;
  readonly log: Log;
}

export interface PcscSurroundings {
  readonly load: () => Promise<PcscLibrary>;
  /** Why the service does not answer, if it does not. */
  readonly silence: (clock: Clock) => Promise<string | undefined>;
  /** `/sys/bus/usb/drivers` on a real machine. */
  readonly usbDrivers: string;
}

const REAL: PcscSurroundings = {
  load: async () => (await import("pcsc-mini")).default,
  silence: pcscdSilence,
  usbDrivers: "/sys/bus/usb/drivers",
};

/** pcscd tells of its readers within milliseconds, and of one that was just plugged in when its driver has started. */
const FIND_MS = 1000;
/** Readers are told one after the other: another one that fits may follow. */
const SETTLE_MS = 100;
const CONNECT_MS = 5000;
/** libccid's IOCTL_SMARTCARD_VENDOR_IFD_EXCHANGE: a command for the reader itself. */
const ESCAPE_FUNCTION = 1;
const NOTHING = new Uint8Array(0);

/** One reader of the PC/SC service, chosen by its name, and the card on it. The library is loaded at the first open. */
export class PcscTransport implements Transport {
  readonly counters = { connectFailed: 0, releaseFailed: 0 };
  readonly #readerName: string;
  readonly #context: PcscContext;
  readonly #surroundings: PcscSurroundings;
  #library: PcscLibrary | undefined;
  #service: PcscService | undefined;
  #listener: TransportListener | undefined;
  #reader: PcscReader | undefined;
  #begun = false;
  /** Whether the reader has told of a card; `#card` is there when we are connected to it. */
  #cardThere = false;
  #card: PcscCard | undefined;
  /** Numbers the connections to cards: one that comes late is of another card, or of none. */
  #connection = 0;
  /** The library's thread reads these bytes without holding them, so that we do. */
  readonly #held = new Set<Uint8Array>();
  #opening: Promise<unknown> = Promise.resolve();
  #releasing: Promise<unknown> = Promise.resolve();
  #leaving: Promise<void> = Promise.resolve();
  #closes = 0;
  #appeared: (() => void) | undefined;
  #news = Promise.withResolvers<void>();

  constructor(readerName: string, context: PcscContext, surroundings: Partial<PcscSurroundings> = {}) {
    this.#readerName = readerName;
    this.#context = context;
    this.#surroundings = { ...REAL, ...surroundings };
  }

  describe(): string {
    return `pcsc ${this.#readerName}`;
  }

  /** Tells when the reader appears, for as long as the service is there while the reader is not. */
  readonly watch = (onChange: () => void): (() => void) => {
    this.#appeared = onChange;
    return () => {
      this.#appeared = undefined;
      if (this.#listener === undefined) this.#leave();
    };
  };

  open(listener: TransportListener): Promise<void> {
    const opened = this.#open(listener);
    this.#opening = opened.catch(() => {
      // The caller of `open` has this error; `close` only waits.
    });
    return opened;
  }

  async #open(listener: TransportListener): Promise<void> {
    const closes = this.#closes;
    this.#listener = listener;
    try {
      const service = await this.#connected();
      this.#reader = await this.#find(service, () => closes === this.#closes);
    } catch (error) {
      this.#listener = undefined;
      // Only who waits for the reader to appear has use for the service now.
      if (this.#appeared === undefined || closes !== this.#closes) this.#leave();
      throw error;
    }
  }

  async #connected(): Promise<PcscService> {
    await this.#leaving;
    if (this.#service !== undefined) return this.#service;
    try {
      this.#library ??= await this.#surroundings.load();
    } catch (error) {
      throw new ReaderError("pcsc-library-missing", `${process.platform} ${process.arch}`, { cause: error });
    }
    const silence = await this.#surroundings.silence(this.#context.clock);
    if (silence !== undefined) throw new ReaderError("pcsc-service-missing", silence);
    const service = new PcscService(this.#library, {
      reader: (reader) => {
        if (service === this.#service) this.#plugged(reader);
      },
      changed: (reader) => {
        if (service === this.#service && reader === this.#reader && this.#begun) this.#look(reader);
      },
      unplugged: (reader) => {
        if (service === this.#service && reader === this.#reader)
          this.#lost(new ReaderError("reader-lost", reader.name));
      },
      ended: (reason) => {
        if (service !== this.#service) return;
        this.#leave();
        this.#lost(new ReaderError("pcsc-service-missing", reason));
      },
    });
    this.#service = service;
    try {
      service.start();
    } catch (error) {
      this.#service = undefined;
      throw new ReaderError("pcsc-service-missing", codeOf(error), { cause: error });
    }
    return service;
  }

  /** The one reader that fits. There is no way to ask for any reader. */
  async #find(service: PcscService, isWanted: () => boolean): Promise<PcscReader> {
    const { clock } = this.#context;
    let over = false;
    const cancel = clock.after(FIND_MS, () => {
      over = true;
      this.#news.resolve();
    });
    while (!over && isWanted() && this.#service === service && this.#fitting(service).length === 0)
      await this.#tidings();
    cancel();
    const exact = this.#fitting(service)[0]?.name === this.#readerName;
    if (!exact && this.#fitting(service).length > 0) {
      await new Promise<void>((resolve) => clock.after(SETTLE_MS, resolve));
    }
    if (!isWanted()) throw new ReaderError("reader-open-failed", `${this.describe()}: closed while opening`);
    if (this.#service !== service) throw new ReaderError("pcsc-service-missing", "ended");
    const fitting = this.#fitting(service);
    const [reader] = fitting;
    if (reader === undefined) {
      const held = await heldByKernel(this.#surroundings.usbDrivers);
      if (held !== undefined) throw new ReaderError("reader-kernel-driver", held);
      throw new ReaderError("reader-absent", `${this.describe()}; there ${namesOf(service.readers)}`);
    }
    if (fitting.length > 1) throw this.#ambiguous(fitting);
    return reader;
  }

  async #tidings(): Promise<void> {
    await this.#news.promise;
    this.#news = Promise.withResolvers();
  }

  /** The reader of exactly that name, otherwise all whose name begins so. */
  #fitting({ readers }: PcscService): readonly PcscReader[] {
    const exact = readers.filter(({ name }) => name === this.#readerName);
    return exact.length > 0 ? exact : readers.filter(({ name }) => name.startsWith(this.#readerName));
  }

  #ambiguous(fitting: readonly PcscReader[]): ReaderError {
    return new ReaderError("reader-ambiguous", `${this.describe()}; ${namesOf(fitting)}`);
  }

  #plugged(reader: PcscReader): void {
    this.#news.resolve();
    const service = this.#service;
    if (service === undefined || !this.#fitting(service).includes(reader)) return;
    if (this.#listener === undefined) this.#appeared?.();
    else if (this.#reader !== undefined && this.#reader.name !== this.#readerName) {
      this.#lost(this.#ambiguous(this.#fitting(service)));
    }
  }

  /** What the reader last said of its card. */
  #look(reader: PcscReader): void {
    if (reader.present === this.#cardThere) return;
    this.#cardThere = reader.present;
    if (!reader.present) {
      this.#release();
      this.#tell(TOLD.gone);
    } else if (reader.mute) this.#tell(TOLD.mute);
    else void this.#connect(reader);
  }

  async #connect(reader: PcscReader): Promise<void> {
    this.#connection += 1;
    const connection = this.#connection;
    const isCurrent = () => this.#reader === reader && this.#cardThere && this.#connection === connection;
    try {
      // An earlier card of this reader must be let go first: the library has few connections.
      await this.#releasing;
      const card = await this.#within(reader.connect("shared"), (late) => void this.#discard(late));
      if (!isCurrent()) return await this.#discard(card);
      this.#card = card;
      const atr = await this.#within(card.atr());
      if (this.#card === card) this.#tell(TOLD.card, atr);
    } catch (error) {
      this.counters.connectFailed += 1;
      this.#context.log.debug({ code: codeOf(error) }, "cannot connect to the card on the reader");
      if (isCurrent()) this.#tell(TOLD.unreachable);
    }
  }

  /** Resolves when it is under way; what comes of it is told. */
  async write(message: Uint8Array): Promise<void> {
    const reader = this.#reader;
    if (reader === undefined || this.#listener === undefined) throw new ReaderError("reader-lost", this.describe());
    const [ask] = message;
    const body = Uint8Array.from(message.subarray(1));
    switch (ask) {
      case ASK.begin:
        this.#begun = true;
        this.#tell(TOLD.ready, Buffer.from(reader.name));
        this.#look(reader);
        break;
      case ASK.transmit:
        void this.#answer(reader, body, this.#card?.transmit(body));
        break;
      case ASK.control:
        void this.#answer(reader, body, this.#escape(reader, body));
        break;
      case ASK.release:
        this.#release();
        break;
      case ASK.connect:
        this.#release();
        if (this.#cardThere) void this.#connect(reader);
        break;
    }
  }

  async #escape(reader: PcscReader, bytes: Uint8Array): Promise<Uint8Array> {
    const code = this.#library?.controlCode(ESCAPE_FUNCTION) ?? 0;
    if (this.#card !== undefined) return this.#card.control(code, bytes);
    const direct = await reader.connect("direct");
    try {
      return await direct.control(code, bytes);
    } finally {
      await this.#discard(direct);
    }
  }

  async #answer(reader: PcscReader, held: Uint8Array, asking: Promise<Uint8Array> | undefined): Promise<void> {
    this.#held.add(held);
    const answer = await asking?.catch((error: unknown) => {
      this.#context.log.debug({ code: codeOf(error) }, "the reader refused a command");
      return undefined;
    });
    this.#held.delete(held);
    if (reader !== this.#reader) return;
    if (answer === undefined) this.#tell(TOLD.failed);
    else this.#tell(TOLD.reply, answer);
  }

  #tell(kind: number, body: Uint8Array = NOTHING): void {
    this.#listener?.data(Buffer.concat([Uint8Array.of(kind), body]));
  }

  #release(): void {
    this.#connection += 1;
    const card = this.#card;
    this.#card = undefined;
    if (card !== undefined) this.#releasing = this.#discard(card);
  }

  async #discard(card: PcscCard): Promise<void> {
    try {
      await this.#within(card.disconnect());
    } catch (error) {
      this.counters.releaseFailed += 1;
      this.#context.log.debug({ code: codeOf(error) }, "letting go of the card failed");
    }
  }

  #within<T>(doing: Promise<T>, late: (done: T) => void = () => {}): Promise<T> {
    const error = () => new ReaderError("reader-deaf", this.describe());
    return openWithin(this.#context.clock, CONNECT_MS, doing, late, error);
  }

  #lost(error: ReaderError): void {
    const listener = this.#listener;
    const wasOpen = this.#reader !== undefined;
    this.#forget();
    if (this.#appeared === undefined) this.#leave();
    if (wasOpen) listener?.closed(error);
  }

  #forget(): void {
    // While it opens there is a listener without a reader, and `open` itself ends that.
    if (this.#reader !== undefined) this.#listener = undefined;
    this.#reader = undefined;
    this.#begun = false;
    this.#cardThere = false;
    this.#release();
  }

  #leave(): void {
    const service = this.#service;
    this.#service = undefined;
    this.#news.resolve();
    const answers = async () => (await this.#surroundings.silence(this.#context.clock)) === undefined;
    if (service !== undefined) this.#leaving = service.stop(answers);
  }

  async close(): Promise<void> {
    this.#closes += 1;
    this.#news.resolve();
    await this.#opening;
    this.#forget();
    this.#listener = undefined;
    await this.#releasing;
    this.#leave();
    await this.#leaving;
  }
}

function namesOf(readers: readonly PcscReader[]): string {
  return readers.length === 0 ? "is none" : `are: ${readers.map(({ name }) => name).join(", ")}`;
}

/** The library's errors have a code; some are plain. */
function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return "code" in error && typeof error.code === "string" ? error.code : error.message;
}
