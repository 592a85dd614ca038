import * as dgram from "node:dgram";
import { isIPv6 } from "node:net";
import type { Session, VarbindsCallback } from "net-snmp";
import type { Clock } from "../../clock.ts";
import { type CodeTable, codedError } from "../../coded-error.ts";

export const SNMP_CODES = {
  "snmp-no-answer": {
    what: "The printer's SNMP agent does not answer.",
    next: "Switch SNMP on in the printer's network settings and compare the community; printing goes on without it.",
  },
  "snmp-bad-answer": {
    what: "The printer's SNMP agent sent an error or something that is not valid SNMP.",
    next: "Update the printer's firmware, or remove `snmp` from its configuration; printing goes on without it.",
  },
  "snmp-no-printer": {
    what: "The SNMP agent answers but lists no printer among its devices.",
    next: "Check that the address is the printer's own and not that of a print server.",
  },
  "snmp-closed": {
    what: "The SNMP session was closed while it waited for an answer.",
    next: "Nothing: the agent is stopping or opens a new session by itself.",
  },
} as const satisfies CodeTable;

export class SnmpError extends codedError(SNMP_CODES) {}

/** One session with one agent. One request at a time; every request ends, by `close` at the latest. */
export interface SnmpConnection {
  /** The values in the order of `oids` (at most 10); undefined where the agent has no such object. Rejects with `SnmpError`. */
  get(oids: readonly string[]): Promise<readonly unknown[]>;
  /** The object that follows `oid`; undefined at the end of the agent's view. Rejects with `SnmpError`. */
  next(oid: string): Promise<{ readonly oid: string; readonly value: unknown } | undefined>;
  /** Closes the socket and rejects what waits. */
  close(): void;
}

export interface SnmpTarget {
  readonly host: string;
  readonly port: number;
  /** Never logged. */
  readonly community: string;
  /** Milliseconds for each of two tries. */
  readonly timeoutMs: number;
}

const RETRIES = 1;
/** What a request may take beyond its tries: name resolution, which net-snmp does not time. */
const GRACE_MS = 1000;

/** Opens an SNMPv2c session. `malformed` is called for each datagram that is not an answer. */
export async function openV2c(target: SnmpTarget, clock: Clock, malformed: () => void): Promise<SnmpConnection> {
  // Imported when the first session opens, so that an agent without SNMP does not carry it.
  const { default: snmp } = await import("net-snmp");
  let fail = (_error: SnmpError): void => {};

  const session: Session = snmp.createSession(target.host, target.community, {
    version: snmp.Version2c,
    port: target.port,
    transport: isIPv6(target.host) ? "udp6" : "udp4",
    timeout: target.timeoutMs,
    retries: RETRIES,
    backoff: 1,
    reportOidMismatchErrors: true,
    // net-snmp 3.29.2 lets some hostile answers throw out of its socket listener (an authenticated v3 message on a v2c
    // session, for one), which would end the process.
    dgramModule: {
      createSocket: (type) =>
        guarded(dgram.createSocket(type), () => {
          malformed();
          fail(new SnmpError("snmp-bad-answer"));
        }),
    },
  });
  session.on("error", malformed);

  const ask = (start: (done: VarbindsCallback) => void) =>
    new Promise<readonly { oid: string; value: unknown }[]>((resolve, reject) => {
      const abandon = (error: SnmpError) => {
        settle();
        reject(error);
      };
      const settle = () => {
        cancel();
        if (fail === abandon) fail = () => {};
      };
      fail = abandon;
      const cancel = clock.after(target.timeoutMs * (RETRIES + 1) + GRACE_MS, () =>
        abandon(new SnmpError("snmp-no-answer")),
      );
      start((error, varbinds = []) => {
        if (error) return abandon(snmpError(error));
        settle();
        resolve(varbinds.map((one) => (snmp.isVarbindError(one) ? { ...one, value: undefined } : one)));
      });
    });

  return {
    async get(oids) {
      const answers = await ask((done) => session.get(oids, done));
      return answers.map(({ value }) => value);
    },
    async next(oid) {
      const [answer] = await ask((done) => session.getNext([oid], done));
      return answer?.value === undefined ? undefined : answer;
    },
    close() {
      fail(new SnmpError("snmp-closed"));
      session.close();
    },
  };
}

/** The detail is the error's class only: net-snmp puts the community into some of its messages. */
function snmpError(error: Error): SnmpError {
  return new SnmpError(error.name === "RequestTimedOutError" ? "snmp-no-answer" : "snmp-bad-answer", error.name);
}

/** A socket whose listeners cannot throw into the event loop. */
function guarded(socket: dgram.Socket, thrown: () => void): dgram.Socket {
  const emit: (event: string | symbol, ...values: unknown[]) => boolean = socket.emit.bind(socket);
  socket.emit = (event: string | symbol, ...values: unknown[]) => {
    try {
      return emit(event, ...values);
    } catch {
      thrown();
      return true;
    }
  };
  return socket;
}
