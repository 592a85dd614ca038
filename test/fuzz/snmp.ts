import type { SnmpConnection } from "../../drivers/printers/snmp/connection.ts";
import { SnmpError } from "../../drivers/printers/snmp/connection.ts";
import { decodeFacts, GENERAL_COLUMNS, TABLES } from "../../drivers/printers/snmp/facts.ts";
import { decodePoll, POLL_COLUMNS } from "../../drivers/printers/snmp/mib.ts";
import { decodeText } from "../../drivers/printers/snmp/text.ts";
import { decodeTrapHeader } from "../../drivers/printers/snmp/trap-header.ts";
import { judge, NO_VERDICT, nextVerdict } from "../../drivers/printers/snmp/verdict.ts";
import { Budget, type Row, walkTable } from "../../drivers/printers/snmp/walk.ts";
import { int, octets, oid, tlv } from "./ber.ts";
import type { Behaviour, Target } from "./engine.ts";

const zero = int(0);
const varbinds = tlv(0x30, tlv(0x30, oid("1.3.6.1.2.1.1.3.0"), tlv(0x43, Buffer.of(1))));
const trap2 = (tag: number) => tlv(tag, int(1), zero, zero, varbinds);
const trap1 = tlv(0xa4, oid("1.3.6.1.2.1.43.18.2"), tlv(0x40, Buffer.alloc(4)), zero, zero, tlv(0x43), varbinds);
const engine = octets(Buffer.from("80001f8880e9630000d61ff449", "hex"));

/** Total, and what it shows is in the datagram. */
const header: Target = {
  name: "snmp-trap-header",
  seeds: [
    tlv(0x30, int(1), octets("public"), trap2(0xa7)).fill(1, 4, 5),
    tlv(0x30, tlv(2, Buffer.of(1)), octets("public"), trap2(0xa7)),
    tlv(0x30, tlv(2, Buffer.of(1)), octets("public"), trap2(0xa6)),
    tlv(0x30, tlv(2, Buffer.of(0)), octets("public"), trap1),
    tlv(
      0x30,
      tlv(2, Buffer.of(3)),
      tlv(0x30, int(1), int(65_507), octets(Uint8Array.of(3)), int(3)),
      octets(tlv(0x30, engine, int(1), int(2), octets("monitor"), octets(Buffer.alloc(12)), octets(Buffer.alloc(8)))),
      octets(Buffer.alloc(64)),
    ),
  ],
  run(input): Behaviour {
    const found = decodeTrapHeader(input);
    if (found === undefined) return "none";
    const name = found.version === "3" ? found.user : found.community;
    if (!Buffer.from(input).includes(Buffer.from(name, "latin1"))) throw new Error("it names what is not there");
    return `${found.version} ${Math.min(name.length, 20)}`;
  },
};

/** Anything that net-snmp may hand out, and more. */
class Values {
  readonly #input: Uint8Array;
  #at = 0;

  constructor(input: Uint8Array) {
    this.#input = input;
  }

  get isOver(): boolean {
    return this.#at >= this.#input.length;
  }

  octet(): number {
    return this.#input[this.#at++] ?? 0;
  }

  bytes(length: number): Buffer {
    this.#at += length;
    return Buffer.from(this.#input.subarray(this.#at - length, this.#at));
  }

  next(): unknown {
    if (this.isOver) return undefined;
    const kind = this.octet();
    switch (kind & 0x0f) {
      case 0:
        return this.octet();
      case 1:
        return Buffer.concat([this.bytes(4), Buffer.alloc(4)]).readInt32BE();
      case 2:
        return Buffer.concat([this.bytes(8), Buffer.alloc(8)]).readDoubleBE();
      case 3:
        return null;
      case 4:
        return undefined;
      case 5:
        return this.bytes(this.octet()).toString("latin1");
      case 6:
        return BigInt(this.octet()) ** 20n;
      case 7:
        return { length: this.octet() };
      case 8:
        return kind > 0x80;
      default:
        return this.bytes(kind >> 4 === 0x0f ? 2000 : this.octet());
    }
  }

  some(count: number): unknown[] {
    return Array.from({ length: count }, () => this.next());
  }
}

const MAX_SHOWN = 200_000;
/** What the terminal, the page and the log must not get. */
const UNSHOWABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;

function expectShowable(value: unknown): void {
  if (typeof value === "string" && (UNSHOWABLE.test(value) || value.length > 200))
    throw new Error("not for a terminal");
  if (typeof value === "number" && !Number.isFinite(value)) throw new Error(`a number that is ${value}`);
  if (typeof value === "object" && value !== null) for (const part of Object.values(value)) expectShowable(part);
}

/** Whatever the values are: facts within bounds that can be shown, and a verdict. */
const values: Target = {
  name: "snmp-values",
  seeds: [
    Buffer.from([0, 5, 0, 1, 9, 1, 0x04, ...Buffer.from("\x09\x05Tray1\x00\x07\x01\x00\x00\x01\xf4")]),
    Buffer.from([0, 2, 0, 3, 9, 2, 0, 0, 0, 1, 0, 1, 9, 4, ...Buffer.from("LJ-1"), 9, 4, ...Buffer.from("0042")]),
    Buffer.from([
      9,
      2,
      0x80,
      0x04,
      1,
      0xff,
      0xff,
      0xff,
      0xfd,
      9,
      6,
      ...Buffer.from("\xe6\xba\x96\xe5\x82\x99", "latin1"),
    ]),
  ],
  run(input): Behaviour {
    const from = new Values(input);
    const polls = [decodePoll(from.some(POLL_COLUMNS.length)), decodePoll(from.some(POLL_COLUMNS.length))];
    const general = from.some(GENERAL_COLUMNS.length);
    const tables: Record<string, Row[]> = {};
    for (const [name, { columns }] of Object.entries(TABLES)) {
      const rows = from.octet() % 4;
      tables[name] = Array.from({ length: rows }, (_, at) => ({
        index: `${at + 1}`,
        values: from.some(columns.length),
      }));
    }
    const { inputs = [], covers = [], localizations = [], supplies = [], colorants = [] } = tables;
    const { alerts = [], outputs = [], markers = [], console = [] } = tables;
    const facts = decodeFacts({
      general,
      tables: { inputs, covers, localizations, supplies, colorants, alerts, outputs, markers, console },
      truncated: false,
    });
    expectShowable(facts);
    if (JSON.stringify(facts).length > MAX_SHOWN) throw new Error("facts without bounds");
    expectShowable(decodeText(from.next(), from.octet() * 16 + (from.octet() & 15)));
    let state = NO_VERDICT;
    for (const poll of polls) {
      const before = state.last.verdict;
      state = nextVerdict(state, judge(poll, facts.inputs));
      if (state.shown.verdict === "blocked" && before !== "blocked") throw new Error("a block that one poll made");
    }
    const kinds = facts.supplies.map(({ state: said }) => said).join();
    return `${state.shown.verdict} ${polls.map(({ errors }) => errors?.length).join()} ${kinds} ${facts.alerts.length} ${facts.console.length}`;
  },
};

const ENTRY = "1.3.9";
const WALK_REQUESTS = 100;

/** An agent that answers anything to any question: the walk ends within its budget, and its rows are within bounds. */
const walk: Target = {
  name: "snmp-walk",
  seeds: [
    Buffer.from([0, 1, 0, 7, 0, 1, 0, 7, 0, 2, 0, 7, 0, 2, 0, 7]),
    Buffer.from([0x40, 0x80, 0xc0, 0, 1, 9, 3, 65, 66, 67]),
  ],
  async run(input): Promise<Behaviour> {
    const from = new Values(input);
    let asked = 0;
    const connection: SnmpConnection = {
      async next(oids) {
        asked++;
        const fault = from.octet();
        if (fault > 0xf0) throw new SnmpError("snmp-bad-answer");
        // Fewer or more than asked for, forwards, in a circle, elsewhere.
        const answers = oids.slice(0, fault > 0xe0 ? fault & 3 : 10).map((asking, at) => {
          const how = from.octet();
          const index = how >> 6 === 0 ? `${how}` : how >> 6 === 1 ? `${asked}.${how}` : `${asked}`;
          const oidOf = how >> 6 === 3 ? `${asking}.${how}` : `${ENTRY}.${at + 1}.1.${index}`;
          return how === 0xff ? undefined : { oid: oidOf, value: from.isOver ? asked : from.next() };
        });
        return answers;
      },
      get: async () => [],
      close: () => {},
    };
    const budget = new Budget(WALK_REQUESTS, 65_536, () => false);
    try {
      const rows = await walkTable(connection, { entry: ENTRY, columns: [1, 2, 3] }, "1", budget);
      if (rows.length > 32 || asked > WALK_REQUESTS) throw new RangeError(`${rows.length} rows for ${asked} requests`);
      return `${rows.length} ${budget.truncated} ${asked > 40}`;
    } catch (error) {
      if (error instanceof SnmpError) return error.code;
      throw error;
    }
  },
};

export const SNMP_TARGETS: readonly Target[] = [header, values, walk];
