import type { IncomingHttpHeaders } from "node:http";
import type { Clock } from "../../drivers/clock.ts";
import type { LineExchange, Receiver } from "./line.ts";
import { LinkError } from "./link-error.ts";
import { isPlain, JsonReply, MAX_SMALL_JSON_BYTES } from "./reply.ts";

/** One event of the central server. What it says is not believed: it is a reason to ask. */
export interface ServerEvent {
  /** `message` where the server names none. */
  readonly type: string;
  readonly data: string;
  /** The last id that the server gave, with this event or before; to resume after it. */
  readonly id: string;
}

/** Longer lines and events are dropped whole. */
const MAX_LINE_BYTES = 8 * 1024;
const MAX_EVENT_BYTES = 16 * 1024;
const MAX_ID_LENGTH = 200;
const [LF, CR] = [0x0a, 0x0d];

/**
 * The event stream format (HTML Living Standard 9.2.6), pure and bounded: bytes in any pieces, events out. What is too long
 * is dropped up to the end of its event, and counted.
 */
export class EventStreamParser {
  /** Events of which something was too long. */
  dropped = 0;
  #line: Buffer[] = [];
  #lineBytes = 0;
  #lineTooLong = false;
  #afterCr = false;
  #first = true;
  #type = "";
  #data: string[] = [];
  #dataBytes = 0;
  #tooLong = false;
  #id = "";

  push(bytes: Uint8Array): ServerEvent[] {
    const events: ServerEvent[] = [];
    let start = 0;
    for (let at = 0; at < bytes.length; at++) {
      const octet = bytes[at];
      if (octet !== LF && octet !== CR) {
        this.#afterCr = false;
        continue;
      }
      // The LF of a CRLF ends no second line.
      if (octet === LF && this.#afterCr) start = at + 1;
      else this.#endLine(bytes.subarray(start, at), events);
      this.#afterCr = octet === CR;
      start = at + 1;
    }
    if (start < bytes.length) this.#keep(bytes.subarray(start));
    return events;
  }

  #keep(piece: Uint8Array): void {
    this.#lineBytes += piece.length;
    if (this.#lineBytes > MAX_LINE_BYTES) {
      this.#lineTooLong = true;
      this.#line = [];
    } else this.#line.push(Buffer.from(piece));
  }

  #endLine(piece: Uint8Array, events: ServerEvent[]): void {
    this.#keep(piece);
    const tooLong = this.#lineTooLong;
    let line = tooLong ? "" : Buffer.concat(this.#line).toString("utf8");
    [this.#line, this.#lineBytes, this.#lineTooLong] = [[], 0, false];
    if (this.#first && line.startsWith("\ufeff")) line = line.slice(1);
    this.#first = false;
    if (tooLong) this.#tooLong = true;
    else if (line === "") this.#endEvent(events);
    else this.#field(line);
  }

  #field(line: string): void {
    const colon = line.indexOf(":");
    const name = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? "" : line.slice(colon + 1).replace(/^ /, "");
    switch (name) {
      case "data":
        this.#dataBytes += value.length + 1;
        if (this.#dataBytes > MAX_EVENT_BYTES) this.#tooLong = true;
        else this.#data.push(value);
        break;
      case "event":
        this.#type = value;
        break;
      case "id":
        // It goes into a header when the stream is resumed.
        if (value.length <= MAX_ID_LENGTH && /^[\x21-\x7e]*$/.test(value)) this.#id = value;
        break;
      default: // a comment, `retry`, or a field of another version
    }
  }

  #endEvent(events: ServerEvent[]): void {
    if (this.#tooLong) this.dropped += 1;
    else if (this.#data.length > 0) {
      events.push({ type: this.#type === "" ? "message" : this.#type, data: this.#data.join("\n"), id: this.#id });
    }
    [this.#type, this.#data, this.#dataBytes, this.#tooLong] = ["", [], 0, false];
  }
}

/** Whoever follows the stream. */
export interface EventListener {
  /** The server follows: from now on nothing is missed. */
  opened(): void;
  event(event: ServerEvent): void;
}

/** The server sends a heartbeat at least every 15 s. */
const SILENCE_MS = 45_000;
/** More than this in a minute is no news but an attack, or a fault; the stream is given up, and polling goes on. */
const MAX_BYTES_A_MINUTE = 1024 * 1024;

/** The body of an event stream as it comes. Ends with an error when the server falls silent or says far too much. */
export class EventsReply implements Receiver {
  readonly #clock: Clock;
  readonly #listener: EventListener;
  readonly #settled: (error: LinkError | undefined) => void;
  readonly #parser = new EventStreamParser();
  /** The reply of a status other than 200. */
  #problem: JsonReply | undefined;
  #begun = false;
  #exchange: LineExchange | undefined;
  #bytes = 0;
  #minute = 0;

  /** `settled` is called once, with an error unless the server ended the stream in good order. */
  constructor(clock: Clock, listener: EventListener, settled: (error: LinkError | undefined) => void) {
    this.#clock = clock;
    this.#listener = listener;
    this.#settled = settled;
  }

  /** The exchange that answers to this receiver. */
  set exchange(exchange: LineExchange) {
    this.#exchange = exchange;
  }

  head(status: number, headers: IncomingHttpHeaders): LinkError | undefined {
    if (status !== 200) {
      this.#problem = new JsonReply(MAX_SMALL_JSON_BYTES);
      return this.#problem.head(status, headers);
    }
    const type: unknown = headers["content-type"];
    const isStream = typeof type === "string" && /^text\/event-stream *(;|$)/i.test(type) && isPlain(headers);
    if (!isStream) return new LinkError("link-bad-reply", "200 without an event stream");
    this.#begun = true;
    this.#minute = this.#clock.monotonic();
    this.#exchange?.deadline(SILENCE_MS);
    this.#listener.opened();
    return undefined;
  }

  piece(bytes: Buffer): LinkError | undefined {
    if (this.#problem !== undefined) return this.#problem.piece(bytes);
    const now = this.#clock.monotonic();
    if (now - this.#minute >= 60_000) [this.#minute, this.#bytes] = [now, 0];
    this.#bytes += bytes.length;
    if (this.#bytes > MAX_BYTES_A_MINUTE) return new LinkError("link-reply-too-large", "events without an end");
    this.#exchange?.deadline(SILENCE_MS);
    for (const event of this.#parser.push(bytes)) this.#listener.event(event);
    return undefined;
  }

  settle(_exchange: LineExchange, error?: LinkError): void {
    this.#settled(error ?? this.#problem?.error() ?? (this.#begun ? undefined : new LinkError("link-bad-reply")));
  }
}
