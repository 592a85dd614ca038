/** The part of pcsc-mini that we use. */
export interface PcscLibrary {
  readonly Client: new () => LibraryClient;
  readonly CardMode: { readonly SHARED: number; readonly DIRECT: number };
  readonly CardDisposition: { readonly LEAVE: number };
  readonly Protocol: { readonly ANY: number; readonly UNSET: number };
  readonly ReaderStatus: { readonly PRESENT: number; readonly MUTE: number };
  controlCode(functionCode: number): number;
}

interface LibraryClient {
  on(event: "reader", listener: (reader: LibraryReader) => void): unknown;
  on(event: "error", listener: (error: Error & { code?: string }) => void): unknown;
  start(): unknown;
  stop(): void;
}

interface LibraryReader {
  name(): string;
  on(event: "change", listener: (status: { readonly raw: number }) => void): unknown;
  on(event: "disconnect", listener: () => void): unknown;
  connect(mode: number, protocol?: number): Promise<LibraryCard>;
}

interface LibraryCard {
  transmit(apdu: Uint8Array): Promise<Uint8Array>;
  control(code: number, bytes?: Uint8Array): Promise<Uint8Array>;
  state(): Promise<{ readonly atr: Uint8Array }>;
  disconnect(disposition: number): Promise<void>;
}

export interface PcscCard {
  atr(): Promise<Uint8Array>;
  transmit(apdu: Uint8Array): Promise<Uint8Array>;
  control(code: number, bytes: Uint8Array): Promise<Uint8Array>;
  /** Leaves the card as it is, for whoever comes next. */
  disconnect(): Promise<void>;
}

export interface PcscReader {
  readonly name: string;
  readonly present: boolean;
  /** There is a card, and it does not answer: none of ours, or two at once. */
  readonly mute: boolean;
  /** `shared`: to its card. `direct`: to the reader itself. */
  connect(mode: "shared" | "direct"): Promise<PcscCard>;
}

export interface PcscEvents {
  reader(reader: PcscReader): void;
  changed(reader: PcscReader): void;
  unplugged(reader: PcscReader): void;
  /** The service is gone; called once. */
  ended(reason: string): void;
}

/**
 * Clients that cannot be stopped, because their service is gone or silent. When pcsc-mini 0.1.3 finalizes such a one it throws where
 * nobody can catch it, and the process ends; so they are never garbage. One for each time that
 * pcscd dies.
 */
const UNDYING: LibraryClient[] = [];

/** One connection to the PC/SC service and the readers that it has: pcsc-mini without its surprises. */
export class PcscService {
  readonly #library: PcscLibrary;
  readonly #events: PcscEvents;
  readonly #client: LibraryClient;
  readonly #readers = new Map<string, PcscReader>();
  #over = false;

  constructor(library: PcscLibrary, events: PcscEvents) {
    this.#library = library;
    this.#events = events;
    this.#client = new library.Client();
    this.#client.on("reader", (reader) => this.#plugged(reader));
    this.#client.on("error", (error) => {
      if (this.#over) return;
      this.#end();
      events.ended(error.code ?? error.message);
    });
  }

  get readers(): readonly PcscReader[] {
    return [...this.#readers.values()];
  }

  /** Throws when there is no service. */
  start(): void {
    this.#client.start();
  }

  /** `answers`: whether the service does; of a silent one no leave is taken, for that would take as long as it is silent. */
  async stop(answers: () => Promise<boolean>): Promise<void> {
    if (this.#over) return;
    this.#over = true;
    this.#readers.clear();
    if (await answers()) this.#end();
    else UNDYING.push(this.#client);
  }

  #end(): void {
    this.#over = true;
    this.#readers.clear();
    try {
      this.#client.stop();
    } catch {
      UNDYING.push(this.#client);
    }
  }

  #plugged(reader: LibraryReader): void {
    if (this.#over) return;
    const { PRESENT, MUTE } = this.#library.ReaderStatus;
    let status = 0;
    const ours: PcscReader = {
      name: reader.name(),
      get present() {
        return (status & PRESENT) !== 0;
      },
      get mute() {
        return (status & MUTE) !== 0;
      },
      connect: (mode) => this.#connect(reader, mode),
    };
    // Its ATR is left alone: in pcsc-mini 0.1.3 it is another memory's bytes (25 00 00 ... where 3B 8F was).
    reader.on("change", ({ raw }) => {
      status = raw;
      if (!this.#over) this.#events.changed(ours);
    });
    reader.on("disconnect", () => {
      if (this.#over) return;
      this.#readers.delete(ours.name);
      this.#events.unplugged(ours);
    });
    this.#readers.set(ours.name, ours);
    this.#events.reader(ours);
  }

  async #connect(reader: LibraryReader, mode: "shared" | "direct"): Promise<PcscCard> {
    const { CardMode, CardDisposition, Protocol } = this.#library;
    const card =
      mode === "shared"
        ? await reader.connect(CardMode.SHARED, Protocol.ANY)
        : await reader.connect(CardMode.DIRECT, Protocol.UNSET);
    return {
      atr: async () => (await card.state()).atr,
      transmit: (apdu) => card.transmit(apdu),
      control: (code, bytes) => card.control(code, bytes),
      disconnect: () => card.disconnect(CardDisposition.LEAVE),
    };
  }
}
