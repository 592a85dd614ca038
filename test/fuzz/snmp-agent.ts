import * as dgram from "node:dgram";
import { once } from "node:events";
import { systemClock } from "../../drivers/clock.ts";
import type { SnmpAccess } from "../../drivers/printers/snmp/access.ts";
import { openSnmp, type SnmpConnection, SnmpError } from "../../drivers/printers/snmp/connection.ts";
import { decodePoll, POLL_COLUMNS } from "../../drivers/printers/snmp/mib.ts";
import { judge } from "../../drivers/printers/snmp/verdict.ts";
import { bodyAt, int, octets, oid, tlv } from "./ber.ts";
import type { Behaviour, Target } from "./engine.ts";

const ASKED = POLL_COLUMNS.map((column) => `${column}.1`);
/** Where the ids of the question go in a reply; four octets each, so that no length changes. */
const REQUEST_ID = 0x7a7a7a7a;
const MESSAGE_ID = 0x6b6b6b6b;
const ENGINE = Buffer.from("80001f8880e9630000d61ff449", "hex");
/** RFC 3414 5: usmStatsUnknownEngineIDs, usmStatsWrongDigests. */
const UNKNOWN_ENGINE = "1.3.6.1.6.3.15.1.1.4.0";
const WRONG_DIGEST = "1.3.6.1.6.3.15.1.1.5.0";
const GET_RESPONSE = 0xa2;
const REPORT = 0xa8;

const pdu = (tag: number, ...binds: readonly Uint8Array[]) =>
  tlv(tag, int(REQUEST_ID), int(0), int(0), tlv(0x30, ...binds));
const bind = (name: string, value: Uint8Array) => tlv(0x30, oid(name), value);
/** Device down, printer other, jammed. */
const STATES = [int(5), int(1), octets(Uint8Array.of(0x04))];
const binds = (objects: readonly Uint8Array[]) => objects.map((value, at) => bind(ASKED[at] ?? "1.3", value));
const community = (version: number, body: Uint8Array) => tlv(0x30, tlv(2, Buffer.of(version)), octets("public"), body);
const version3 = (flags: number, user: string, body: Uint8Array) =>
  tlv(
    0x30,
    tlv(2, Buffer.of(3)),
    tlv(0x30, int(MESSAGE_ID), int(65_507), octets(Uint8Array.of(flags)), int(3)),
    octets(
      tlv(0x30, octets(ENGINE), int(1), int(2), octets(user), octets(Buffer.alloc(flags === 0 ? 0 : 24)), octets()),
    ),
    body,
  );
const scoped = (body: Uint8Array) => tlv(0x30, octets(ENGINE), octets(), body);
const report = (counter: string) => version3(0, "", scoped(pdu(REPORT, bind(counter, tlv(0x41, Buffer.of(7))))));

/** What an agent may answer beside the right thing: every type that there is (RFC 2578 7.1), errors, nothing. */
const ODD = [
  tlv(0x40, Buffer.of(127, 0, 0, 1)),
  tlv(0x46, Buffer.alloc(8, 0xff)),
  tlv(0x44, Buffer.from("9f780442f60000", "hex")),
  oid("1.3.6.1.2.1.25.3.1.5"),
  tlv(0x80),
  tlv(0x82),
  tlv(0x05),
];

interface Kind {
  readonly access: SnmpAccess;
  readonly replies: readonly Uint8Array[];
  /** The right answer to this question. */
  good(question: Uint8Array): Uint8Array;
}

function communityKind(version: "1" | "2c"): Kind {
  const number = version === "1" ? 0 : 1;
  const answer = (objects: readonly Uint8Array[]) => community(number, pdu(GET_RESPONSE, ...binds(objects)));
  const asked = version === "1" ? 1 : ASKED.length;
  return {
    access: { version, community: "public" },
    replies: [STATES, ...ODD.map((odd) => [odd, odd, odd])].map((objects) => answer(objects.slice(0, asked))),
    good(question) {
      if (version === "2c") return answer(STATES);
      // One object at a time.
      const name = Buffer.from(bodyAt(question, 0, 2, 3, 0, 0) ?? []);
      const at = ASKED.findIndex((one) => oid(one).subarray(2).equals(name));
      return community(number, pdu(GET_RESPONSE, bind(ASKED[at] ?? "1.3", STATES[at] ?? int(0))));
    },
  };
}

const plain3: Kind = {
  access: { version: "3", user: "monitor", authProtocol: "sha256", privProtocol: "aes", context: "" },
  replies: [
    report(UNKNOWN_ENGINE),
    version3(0, "monitor", scoped(pdu(GET_RESPONSE, ...binds(STATES)))),
    ...ODD.map((odd) => version3(0, "monitor", scoped(pdu(GET_RESPONSE, ...binds([odd, odd, odd]))))),
  ],
  good: (question) =>
    isDiscovery(question)
      ? report(UNKNOWN_ENGINE)
      : version3(0, "monitor", scoped(pdu(GET_RESPONSE, ...binds(STATES)))),
};

const secure3: Kind = {
  access: { ...plain3.access, authPassword: "auth password", privPassword: "priv password" } as SnmpAccess,
  replies: [
    report(UNKNOWN_ENGINE),
    report(WRONG_DIGEST),
    version3(3, "monitor", octets(Buffer.alloc(64, 0x30))),
    version3(1, "monitor", scoped(pdu(GET_RESPONSE, ...binds(STATES)))),
  ],
  good: (question) => report(isDiscovery(question) ? UNKNOWN_ENGINE : WRONG_DIGEST),
};

function isDiscovery(question: Uint8Array): boolean {
  return bodyAt(bodyAt(question, 0, 2) ?? question, 0, 0)?.length === 0;
}

/** `reply` with the ids of the question, where it still has their places. */
function answering(reply: Uint8Array, question: Uint8Array): Buffer {
  const is3 = bodyAt(question, 0, 0)?.[0] === 3;
  const request = is3 ? bodyAt(question, 0, 3, 2, 0) : bodyAt(question, 0, 2, 0);
  const message = is3 ? bodyAt(question, 0, 1, 0) : undefined;
  const out = Buffer.from(reply);
  for (const [place, id] of [
    [REQUEST_ID, request],
    [MESSAGE_ID, message],
  ] as const) {
    const mark = Buffer.alloc(4);
    mark.writeInt32BE(place);
    const four = Buffer.alloc(4);
    if (id !== undefined && id.length <= 4) Buffer.from(id).copy(four, 4 - id.length);
    for (let at = out.indexOf(mark); at >= 0; at = out.indexOf(mark, at + 4)) four.copy(out, at);
  }
  return out;
}

/** A real session of net-snmp and an agent at the end of a real socket, which answers what is fuzzed and then the right thing. */
class Line {
  readonly #kind: Kind;
  readonly #socket: dgram.Socket;
  #connection: SnmpConnection | undefined;
  #input: Uint8Array | undefined;
  #malformed = 0;

  static async open(kind: Kind): Promise<Line> {
    const socket = dgram.createSocket("udp4").bind(0, "127.0.0.1");
    await once(socket, "listening");
    return new Line(kind, socket);
  }

  private constructor(kind: Kind, socket: dgram.Socket) {
    this.#kind = kind;
    this.#socket = socket;
    socket.on("message", (question, { port }) => {
      if (this.#input !== undefined) this.#send(this.#input, question, port);
      // SNMPv1 asks for one object after the other: what answers the first fits no other.
      if (kind.access.version === "1") this.#input = undefined;
      this.#send(kind.good(question), question, port);
    });
  }

  async run(input: Uint8Array): Promise<Behaviour> {
    const before = this.#malformed;
    const first = await this.#ask(input);
    // As SnmpHealth does: a session that failed is replaced, and the new one owes nothing to what came before.
    if (first.startsWith("snmp-")) {
      this.#connection?.close();
      this.#connection = undefined;
      const second = await this.#ask(undefined);
      if (second !== this.#wanted) throw new Error(`the next session: ${second}, not ${this.#wanted}`);
    }
    return `${first} ${Math.min(this.#malformed - before, 3)}`;
  }

  get #wanted(): string {
    return this.#kind === secure3 ? "snmp-wrong-auth-key" : "5 1 4 blocked";
  }

  async #ask(input: Uint8Array | undefined): Promise<string> {
    this.#input = input;
    const { port } = this.#socket.address();
    const target = { host: "127.0.0.1", port, access: this.#kind.access, timeoutMs: 50 };
    this.#connection ??= await openSnmp(target, systemClock, () => this.#malformed++);
    try {
      const values = await this.#connection.get(ASKED);
      return `${values.map(described).join(" ")} ${judge(decodePoll(values)).verdict}`;
    } catch (error) {
      if (error instanceof SnmpError) return error.code;
      throw error;
    }
  }

  #send(reply: Uint8Array, question: Uint8Array, port: number): void {
    this.#socket.send(answering(reply, question), port, "127.0.0.1", () => {}); // one that is too long is none
  }

  async close(): Promise<void> {
    this.#connection?.close();
    this.#socket.close();
    await once(this.#socket, "close");
  }
}

function described(value: unknown): string {
  if (typeof value === "number") return String(value);
  return value instanceof Uint8Array ? String(value[0]) : typeof value;
}

/** Whatever the agent sends, the request ends with a value or a code, and the next session gets the right answer. */
function session(name: string, kind: Kind): Target {
  let line: Promise<Line> | undefined;
  return {
    name,
    seeds: kind.replies,
    triedInTests: 100,
    async run(input): Promise<Behaviour> {
      line ??= Line.open(kind);
      return (await line).run(input);
    },
    async close() {
      await (await line)?.close();
      line = undefined;
    },
  };
}

export const SNMP_SESSION_TARGETS: readonly Target[] = [
  session("snmp-session-1", communityKind("1")),
  session("snmp-session-2c", communityKind("2c")),
  session("snmp-session-3", plain3),
  session("snmp-session-3-secure", secure3),
];
