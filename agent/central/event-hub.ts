import { randomBytes } from "node:crypto";
import type { ServerResponse } from "node:http";
import type { Clock } from "../../drivers/clock.ts";

/** So many events are remembered, for agents that resume. */
const REMEMBERED = 256;
/** An agent that has not taken this much is cut off; it comes back and resumes. */
const MAX_PENDING_BYTES = 64 * 1024;
/** Streams of one agent; a further one ends the oldest, which may be half open. */
const STREAMS_PER_AGENT = 2;

interface Remembered {
  readonly seq: number;
  /** None: for all agents. */
  readonly agent: string | undefined;
  readonly text: string;
}

/**
 * Server-Sent Events to the agents that follow. An event is a nudge: it says what to ask for, so that losing one, or
 * getting one twice, does no harm. Ids are `EPOCH-NUMBER`; an agent that resumes after an id that is no longer known
 * (another start of the server, or too long ago) is told to `resync`: to ask for everything.
 */
export class EventHub {
  readonly #clock: Clock;
  readonly #heartbeatMs: number;
  readonly #epoch = randomBytes(6).toString("hex");
  readonly #streams = new Map<ServerResponse, string>();
  #events: Remembered[] = [];
  #seq = 0;
  #cancelHeartbeat: () => void = () => {};
  #closed = false;

  constructor(clock: Clock, heartbeatMs = 15_000) {
    this.#clock = clock;
    this.#heartbeatMs = heartbeatMs;
  }

  /** The agents that follow. */
  get agents(): ReadonlySet<string> {
    return new Set(this.#streams.values());
  }

  /** Sends the head and what the agent missed; resolves when the stream has ended, however it did. */
  follow(agent: string, response: ServerResponse, lastEventId: string | undefined): Promise<void> {
    const closed = new Promise<void>((resolve) => response.once("close", () => resolve()));
    if (this.#closed) {
      response.destroy();
      return closed;
    }
    const own = [...this.#streams].filter(([, name]) => name === agent);
    for (const [stream] of own.slice(0, Math.max(0, own.length - STREAMS_PER_AGENT + 1))) this.#end(stream);
    response.once("close", () => this.#streams.delete(response));
    response.on("error", () => response.destroy()); // the agent hung up
    response.writeHead(200, { "content-type": "text/event-stream" });
    this.#streams.set(response, agent);
    // A first line at once, so that the agent sees the stream and not only its head.
    this.#write(response, `: ${this.#epoch}\n\n${this.#missed(agent, lastEventId)}`);
    if (this.#streams.size === 1) this.#heartbeatLater();
    return closed;
  }

  /** `agent`: for this one alone. */
  tell(type: string, data: object, agent?: string): void {
    this.#seq += 1;
    const text = `id: ${this.#epoch}-${this.#seq}\nevent: ${type}\ndata: ${JSON.stringify(data)}\n\n`;
    this.#events.push({ seq: this.#seq, agent, text });
    if (this.#events.length > REMEMBERED) this.#events = this.#events.slice(-REMEMBERED);
    for (const [stream, name] of this.#streams) {
      if (agent === undefined || agent === name) this.#write(stream, text);
    }
  }

  close(): void {
    this.#closed = true;
    this.#cancelHeartbeat();
    for (const stream of this.#streams.keys()) this.#end(stream);
  }

  #missed(agent: string, lastEventId: string | undefined): string {
    if (lastEventId === undefined) return "";
    const [, epoch, number] = /^([0-9a-f]{12})-([0-9]{1,15})$/.exec(lastEventId) ?? [];
    const last = epoch === this.#epoch ? Number(number) : Number.NaN;
    const oldest = this.#events[0]?.seq ?? this.#seq + 1;
    // What was forgotten, or never was, cannot be sent again.
    if (!(last >= oldest - 1 && last <= this.#seq)) {
      return `id: ${this.#epoch}-${this.#seq}\nevent: resync\ndata: {}\n\n`;
    }
    return this.#events
      .filter((event) => event.seq > last && (event.agent === undefined || event.agent === agent))
      .map(({ text }) => text)
      .join("");
  }

  #write(stream: ServerResponse, text: string): void {
    if (stream.writableLength + text.length > MAX_PENDING_BYTES) stream.destroy();
    else stream.write(text);
  }

  #end(stream: ServerResponse): void {
    this.#streams.delete(stream);
    stream.end(() => stream.destroy());
    // One that takes nothing would never be ended.
    if (stream.writableNeedDrain) stream.destroy();
  }

  #heartbeatLater(): void {
    this.#cancelHeartbeat();
    this.#cancelHeartbeat = this.#clock.after(this.#heartbeatMs, () => {
      for (const stream of this.#streams.keys()) this.#write(stream, ":\n\n");
      if (this.#streams.size > 0) this.#heartbeatLater();
    });
  }
}
