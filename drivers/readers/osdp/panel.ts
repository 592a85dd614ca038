import { type Keys, type Protocol, type Read, ReaderError, type Signal } from "../../reader.ts";
import { count, zeroed } from "../counters.ts";
import { Agenda, EARLY_MS } from "./agenda.ts";
import { Exchange } from "./exchange.ts";
import { Handshake } from "./handshake.ts";
import {
  CLOSED,
  type Effect,
  FAULT_CODES,
  type Input,
  type Phase,
  type Plan,
  STEADY_MS,
  type State,
  step,
} from "./machine.ts";
import {
  COMMAND,
  type Command,
  type Identity,
  keysetOf,
  NAK,
  parseAbilities,
  parseEvent,
  parseIdentity,
  REPLY_CODE,
  type ReaderEvent,
  type StatusEvent,
} from "./messages.ts";
import { encodePacket, type Packet, PacketReader, type SecurityBlock } from "./packet.ts";
import { SCS, type SecureChannel } from "./secure-channel.ts";
import type { OsdpSettings } from "./settings.ts";

/** What a technician may want to read in the log. */
export type Notice =
  | { readonly type: "identified"; readonly identity: Identity }
  | { readonly type: "online"; readonly secured: boolean }
  | { readonly type: "restarted"; readonly why: string }
  | StatusEvent;

export type PanelSettings = Pick<
  OsdpSettings,
  "address" | "secure" | "scbk" | "check" | "pollMs" | "replyTimeoutMs" | "baudRate"
>;

export interface PanelParts {
  readonly settings: PanelSettings;
  /** Gives the reader its own key first, with the default key if need be. */
  readonly install?: boolean;
  /** Unpredictable bytes. */
  readonly random: (length: number) => Uint8Array;
  readonly report?: (notice: Notice) => void;
}

/** The security blocks in which a reader proves itself, and when. */
const PROOFS: ReadonlyMap<Phase, number> = new Map([
  ["challenge", SCS.clientCryptogram],
  ["verify", SCS.initialMac],
] as const);

/** A reader that refuses this many polls in a row would never tell of a card. */
const MAX_REFUSALS = 5;

/** The control panel's side of OSDP: asks one reader for what it has read, and tells it what to show. */
export class Panel implements Protocol {
  readonly #settings: PanelSettings;
  readonly #plan: Plan;
  readonly #report: (notice: Notice) => void;
  readonly #reader: PacketReader;
  readonly #exchange: Exchange;
  readonly #handshake: Handshake;
  readonly #agenda: Agenda;
  readonly #counters = zeroed(
    "reads",
    "keys",
    "oversize",
    "malformedEvents",
    "unknownKeys",
    "unknownReplies",
    "echoes",
    "otherAddress",
    "staleReplies",
    "noReply",
    "busy",
    "naks",
    "channels",
    "channelFailed",
    "keysets",
    "badMac",
    "restarts",
    "tampered",
    "powerFailed",
  );

  #state: State = CLOSED;
  #channel: SecureChannel | undefined;
  #failure: ReaderError | undefined;
  /** Why the latest step backwards was taken; holds no secret. */
  #why = "";
  #inFlight: Command | undefined;
  #onlineSince = 0;
  /** Polls refused in a row. */
  #refusals = 0;

  constructor({ settings, install = false, random, report }: PanelParts) {
    this.#settings = settings;
    this.#plan = { secure: settings.secure, install };
    this.#report = report ?? (() => {});
    this.#reader = new PacketReader(settings.check);
    this.#exchange = new Exchange(settings);
    this.#handshake = new Handshake(settings.scbk, random);
    this.#agenda = new Agenda(settings.pollMs);
  }

  get online(): boolean {
    return this.#state.phase === "online";
  }

  get failure(): ReaderError | undefined {
    return this.#failure;
  }

  get counters(): Readonly<Record<string, number>> {
    return { ...this.#reader.counters, ...this.#counters };
  }

  get deadline(): number | undefined {
    return this.#exchange.isIdle ? this.#agenda.deadline(this.online) : this.#exchange.deadline;
  }

  open(now: number): void {
    this.reset();
    this.#failure = undefined;
    this.#agenda.clear(now);
    this.#input({ type: "open" }, now);
  }

  reset(): void {
    this.#reader.reset();
    this.#exchange.restart();
    this.#agenda.clear(0);
    this.#channel = undefined;
    this.#state = CLOSED;
  }

  signal(signal: Signal, now: number): void {
    this.#agenda.signal(signal, now);
  }

  /** A command to be sent as soon as the reader is online and the line is free. */
  submit(command: Command): void {
    this.#agenda.submit(command);
  }

  output(now: number): Uint8Array | undefined {
    if (this.#exchange.isIdle) {
      const command = this.#agenda.next(now, this.online);
      if (command === undefined) return undefined;
      this.#inFlight = command;
      this.#exchange.begin(this.#encode(command));
    }
    const message = this.#exchange.take(now);
    // What came before this question is no answer to it.
    if (message !== undefined) this.#reader.reset();
    return message;
  }

  push(bytes: Uint8Array, now: number): (Read | Keys)[] {
    const events = this.expire(now);
    for (const packet of this.#reader.push(bytes)) this.#heard(packet, now, events);
    if (this.#reader.midPacket) this.#exchange.arriving(now);
    return events;
  }

  expire(now: number): (Read | Keys)[] {
    switch (this.#exchange.expire(now + EARLY_MS)) {
      case "nothing":
        break;
      case "silent":
        count(this.#counters, "noReply");
        this.#why = "no reply";
        this.#input({ type: "silent" }, now);
        break;
      case "again":
        count(this.#counters, "noReply");
        break;
    }
    return [];
  }

  #encode({ code, data, security }: Command): Uint8Array {
    const { address, check } = this.#settings;
    const draft = { address, sequence: this.#exchange.sequence, check, code, data };
    return this.#channel === undefined ? encodePacket({ ...draft, security }) : this.#channel.seal(draft);
  }

  #heard(packet: Packet, now: number, events: (Read | Keys)[]): void {
    const unwanted = this.#unwanted(packet);
    if (unwanted !== undefined) {
      count(this.#counters, unwanted);
      return;
    }
    if (packet.code === REPLY_CODE.BUSY && packet.security === undefined) {
      this.#busy(now);
      return;
    }
    if (packet.sequence !== this.#exchange.sequence) {
      this.#broken("the reader has restarted", now);
      return;
    }
    const data = this.#authentic(packet, now);
    if (data !== undefined) this.#answer(packet, data, now, events);
  }

  /** The counter of a packet that is no reply to what was asked. */
  #unwanted({ isReply, address, sequence, code, security }: Packet) {
    if (!isReply) return "echoes";
    if (address !== this.#settings.address) return "otherAddress";
    if (!this.#exchange.isAwaiting) return "staleReplies";
    if (sequence === this.#exchange.sequence || (code === REPLY_CODE.BUSY && security === undefined)) return undefined;
    // A reader that has restarted says so; any other reply with that number is an old one.
    return code === REPLY_CODE.NAK && sequence === 0 ? undefined : "staleReplies";
  }

  /** The data of a reply that may be believed as far as the phase allows; nothing else gets beyond this point. */
  #authentic(packet: Packet, now: number): Uint8Array | undefined {
    const { security, code } = packet;
    if (this.#channel === undefined) {
      if (security === undefined || security.type === PROOFS.get(this.#state.phase)) return packet.data;
      count(this.#counters, "staleReplies");
      return undefined;
    }
    const data = this.#channel.open(packet);
    if (data !== undefined) return data;
    count(this.#counters, "badMac");
    const bare = code === REPLY_CODE.NAK ? `NAK ${packet.data[0]} without a MAC` : "a reply without a MAC";
    this.#broken(security === undefined ? bare : "a wrong MAC", now);
    return undefined;
  }

  #answer({ code, security }: Packet, data: Uint8Array, now: number, events: (Read | Keys)[]): void {
    if (code === REPLY_CODE.NAK) this.#refused(data[0] ?? 0, now);
    else if (code === REPLY_CODE.BUSY) this.#postponed(now);
    else {
      this.#settle(now);
      if (this.online) this.#event(parseEvent(code, data), now, events);
      else this.#stepOn(code, security, data, now);
    }
  }

  /** A reply on the way to being online: it is what was asked for, or the conversation begins anew or fails. */
  #stepOn(code: number, security: SecurityBlock | undefined, data: Uint8Array, now: number): void {
    switch (this.#state.phase) {
      case "identify": {
        const identity = code === REPLY_CODE.PDID ? parseIdentity(data) : undefined;
        if (identity !== undefined) this.#report({ type: "identified", identity });
        this.#expected(identity !== undefined, "an odd reply to ID", now);
        break;
      }
      case "capabilities": {
        const abilities = code === REPLY_CODE.PDCAP ? parseAbilities(data) : undefined;
        if (abilities !== undefined) this.#agenda.abilities = abilities;
        this.#expected(abilities !== undefined, "an odd reply to CAP", now);
        break;
      }
      case "challenge":
        this.#proof(this.#handshake.takeProof(code, security, data), now);
        break;
      case "verify": {
        const begun = this.#handshake.takeInitialMac(code, security, data);
        if (typeof begun !== "string") {
          this.#channel = begun;
          count(this.#counters, "channels");
        }
        this.#proof(typeof begun === "string" ? begun : undefined, now);
        break;
      }
      case "install":
        if (code === REPLY_CODE.ACK) count(this.#counters, "keysets");
        this.#expected(code === REPLY_CODE.ACK, "an odd reply to KEYSET", now);
        break;
      case "closed":
      case "online":
      case "failed":
        break;
    }
  }

  #event(event: ReaderEvent, now: number, events: (Read | Keys)[]): void {
    this.#refusals = 0;
    if (this.#state.restarts > 0 && now - this.#onlineSince >= STEADY_MS) this.#input({ type: "steady" }, now);
    if (event.type !== "nothing") this.#agenda.settled(now, true);
    switch (event.type) {
      case "nothing":
        break;
      case "card":
        count(this.#counters, "reads");
        events.push(event.read);
        break;
      case "keys":
        count(this.#counters, "unknownKeys", event.unknown);
        count(this.#counters, "keys", event.keys.keys.length);
        if (event.keys.keys !== "") events.push(event.keys);
        break;
      case "status":
        if (event.tampered) count(this.#counters, "tampered");
        if (event.powerFailed === true) count(this.#counters, "powerFailed");
        this.#report(event);
        break;
      case "dropped":
        count(this.#counters, event.why);
        break;
    }
  }

  #refused(code: number, now: number): void {
    count(this.#counters, "naks");
    this.#why = `NAK ${code}`;
    // It heard us badly: the same again, after the usual wait. In a channel the chain has moved on.
    if (this.#channel === undefined && (code === NAK.check || code === NAK.length)) return;
    this.#settle(now);
    this.#refusals = this.online && this.#inFlight?.code === COMMAND.POLL ? this.#refusals + 1 : 0;
    if (code === NAK.sequence || this.#refusals >= MAX_REFUSALS) {
      this.#broken(this.#why, now, code === NAK.sequence);
      return;
    }
    if (code === NAK.unknownCommand) this.#agenda.cannot(this.#inFlight?.code);
    this.#input({ type: "refused", demandsChannel: code === NAK.needsSecureChannel }, now);
  }

  /** Not authenticated, and need not be: it only makes us ask again. */
  #busy(now: number): void {
    count(this.#counters, "busy");
    if (this.#exchange.postpone(now)) return;
    this.#why = "busy";
    this.#input({ type: "silent" }, now);
  }

  /** Busy within the channel, which has moved on: the command goes out anew. */
  #postponed(now: number): void {
    count(this.#counters, "busy");
    const command = this.#inFlight;
    this.#settle(now);
    this.#agenda.postpone(command, now, this.online);
  }

  #proof(flaw: string | undefined, now: number): void {
    if (flaw !== undefined) {
      this.#why = flaw;
      count(this.#counters, "channelFailed");
    }
    this.#input({ type: flaw === undefined ? "answered" : "unproven" }, now);
  }

  #expected(isExpected: boolean, otherwise: string, now: number): void {
    if (isExpected) this.#input({ type: "answered" }, now);
    else this.#broken(otherwise, now);
  }

  #broken(why: string, now: number, breaksChannel = true): void {
    this.#why = why;
    count(this.#counters, "restarts");
    this.#report({ type: "restarted", why });
    this.#agenda.settled(now, false);
    const channel = breaksChannel && this.#plan.secure && this.#channel !== undefined;
    this.#input({ type: "broken", channel }, now);
  }

  /** The command under way is done. */
  #settle(now: number): void {
    this.#exchange.finish();
    this.#agenda.settled(now, false);
  }

  #input(input: Input, now: number): void {
    const { state, effects } = step(this.#plan, this.#state, input);
    this.#state = state;
    for (const effect of effects) this.#run(effect, now);
  }

  #run(effect: Effect, now: number): void {
    switch (effect.type) {
      case "drop-channel":
        this.#channel = undefined;
        break;
      case "ask":
        if (effect.anew) this.#exchange.restart();
        this.#agenda.ask(this.#commandOf(effect.ask));
        break;
      case "online":
        this.#onlineSince = now;
        this.#agenda.pollNow(now);
        this.#report({ type: "online", secured: this.#channel !== undefined });
        break;
      case "failed":
        this.#exchange.restart();
        this.#agenda.clear(now);
        this.#failure = new ReaderError(FAULT_CODES[effect.fault], `address ${this.#settings.address}: ${this.#why}`);
        break;
    }
  }

  #commandOf(ask: Extract<Effect, { type: "ask" }>["ask"]): Command {
    switch (ask) {
      case "id":
        return { code: COMMAND.ID, data: Uint8Array.of(0) };
      case "capabilities":
        return { code: COMMAND.CAP, data: Uint8Array.of(0) };
      case "challenge":
        return this.#handshake.challenge(this.#state.key);
      case "prove":
        return this.#handshake.proof();
      case "keyset":
        return keysetOf(this.#handshake.ownKey);
    }
  }
}
