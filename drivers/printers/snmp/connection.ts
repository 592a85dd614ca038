import * as dgram from "node:dgram";
import { isIPv6 } from "node:net";
import type { Library, Session, SessionOptions, VarbindsCallback } from "net-snmp";
import type { Clock } from "../../clock.ts";
import { type CodeTable, codedError } from "../../coded-error.ts";
import type { SnmpAccess } from "./access.ts";

export const SNMP_CODES = {
  "snmp-no-answer": {
    what: "The printer's SNMP agent does not answer.",
    next: "Switch SNMP on in the printer's network settings and compare the community; printing goes on without it.",
  },
  "snmp-unknown-user": {
    what: "The printer's SNMPv3 agent does not know the user.",
    next: "Compare `user` with the SNMPv3 user of the printer's network settings; printing goes on without SNMP.",
  },
  "snmp-wrong-auth-key": {
    what: "The printer's SNMPv3 agent refuses the user's authentication password or protocol.",
    next: "Compare `auth_password` and `auth_protocol` with the printer's settings; printing goes on without SNMP.",
  },
  "snmp-wrong-level": {
    what: "The printer's SNMPv3 agent does not take requests of this security level from the user.",
    next: "Set `auth_password` and `priv_password` as the printer's settings for the user have them.",
  },
  "snmp-privacy-silence": {
    what: "The printer's SNMPv3 agent knows itself to us, but does not answer what is encrypted.",
    next: "Compare `priv_password` and `priv_protocol` with the printer's settings: agents do not tell when they are wrong.",
  },
  "snmp-engine-time": {
    what: "The printer's SNMPv3 agent restarted and its time went back.",
    next: "Nothing: a new session learns its time by itself.",
  },
  "snmp-bad-answer": {
    what: "The printer's SNMP agent sent an error or something that is not valid SNMP.",
    next: "Update the printer's firmware, or remove `snmp` from its configuration; printing goes on without it.",
  },
  "snmp-no-printer": {
    what: "The SNMP agent answers but lists no printer among its devices.",
    next: "Check that the address is the printer's own and not that of a print server.",
  },
  "snmp-traps-deaf": {
    what: "The agent cannot listen for SNMP traps.",
    next: "Compare `snmp_traps` with this machine's addresses; a port below 1024 needs a right of its own (CAP_NET_BIND_SERVICE), so choose 11162 or so. Polls go on without traps.",
  },
  "snmp-closed": {
    what: "The SNMP session was closed while it waited for an answer.",
    next: "Nothing: the agent is stopping or opens a new session by itself.",
  },
} as const satisfies CodeTable;

export class SnmpError extends codedError(SNMP_CODES) {}

export interface SnmpObject {
  readonly oid: string;
  readonly value: unknown;
}

/** One session with one agent. Requests may overlap; every request ends, by `close` at the latest. */
export interface SnmpConnection {
  /** The values in the order of `oids` (at most 10); undefined where the agent has no such object. Rejects with `SnmpError`. */
  get(oids: readonly string[]): Promise<readonly unknown[]>;
  /** The objects that follow each of `oids` (at most 10); undefined at the end of the agent's view. Rejects with `SnmpError`. */
  next(oids: readonly string[]): Promise<readonly (SnmpObject | undefined)[]>;
  /** Closes the socket and rejects what waits. */
  close(): void;
}

export interface SnmpTarget {
  readonly host: string;
  readonly port: number;
  readonly access: SnmpAccess;
  /** Milliseconds for each of two tries. */
  readonly timeoutMs: number;
}

const RETRIES = 1;
/** What a request may take beyond its tries: name resolution, which net-snmp does not time. */
const GRACE_MS = 1000;

/** Opens an SNMP session. `malformed` is called for each datagram that is not an answer. */
export async function openSnmp(target: SnmpTarget, clock: Clock, malformed: () => void): Promise<SnmpConnection> {
  // Imported when the first session opens, so that an agent without SNMP does not carry it.
  const { default: snmp } = await import("net-snmp");
  /** How each request that waits is ended. */
  const waiting = new Set<(error: SnmpError) => void>();
  const fail = (error: SnmpError) => {
    for (const abandon of waiting) abandon(error);
  };

  const session = sessionOf(snmp, target, {
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
    new Promise<readonly SnmpObject[]>((resolve, reject) => {
      const abandon = (error: SnmpError) => {
        settle();
        reject(error);
      };
      const settle = () => {
        cancel();
        waiting.delete(abandon);
      };
      waiting.add(abandon);
      const cancel = clock.after(target.timeoutMs * (RETRIES + 1) + GRACE_MS, () =>
        abandon(new SnmpError("snmp-no-answer")),
      );
      start((error, varbinds = []) => {
        if (error) return abandon(snmpError(error, session));
        settle();
        resolve(varbinds.map((one) => (snmp.isVarbindError(one) ? { ...one, value: undefined } : one)));
      });
    });

  /** An SNMPv1 agent refuses the whole request for one object that it lacks (RFC 1157 4.1.2), so each is asked for alone. */
  const getOne = async (oid: string) => {
    try {
      return (await ask((done) => session.get([oid], done)))[0]?.value;
    } catch (error) {
      if (error instanceof SnmpError && error.cause === NO_SUCH_NAME) return undefined;
      throw error;
    }
  };

  const existing = (object: SnmpObject | undefined) => (object?.value === undefined ? undefined : object);
  const nextOne = async (oid: string) => {
    try {
      return existing((await ask((done) => session.getNext([oid], done)))[0]);
    } catch (error) {
      // How SNMPv1 says that its view ends here (RFC 1157 4.1.3).
      if (error instanceof SnmpError && error.cause === NO_SUCH_NAME) return undefined;
      throw error;
    }
  };

  return {
    async get(oids) {
      if (target.access.version === "1") {
        const values: unknown[] = [];
        for (const oid of oids) values.push(await getOne(oid));
        return values;
      }
      const answers = await ask((done) => session.get(oids, done));
      return answers.map(({ value }) => value);
    },
    async next(oids) {
      if (target.access.version !== "1") return (await ask((done) => session.getNext(oids, done))).map(existing);
      const objects: (SnmpObject | undefined)[] = [];
      for (const oid of oids) objects.push(await nextOne(oid));
      return objects;
    },
    close() {
      fail(new SnmpError("snmp-closed"));
      session.close();
    },
  };
}

/** RFC 1157 4.1.1: the error-status of an SNMPv1 agent that lacks the object. */
const NO_SUCH_NAME = Symbol("noSuchName");
const NO_SUCH_NAME_STATUS = 2;

/** By net-snmp's own names for the counters of an SNMPv3 report (RFC 3414 5), which it gives as text alone. */
const REPORTS: readonly (readonly [beginning: string, code: SnmpError["code"]])[] = [
  ["Unknown User Name", "snmp-unknown-user"],
  ["Wrong Digest", "snmp-wrong-auth-key"],
  ["Authentication digest", "snmp-wrong-auth-key"],
  ["Unsupported Security Level", "snmp-wrong-level"],
  ["Decryption Error", "snmp-privacy-silence"],
  ["Not In Time Window", "snmp-engine-time"],
  ["Message with engineBoots", "snmp-engine-time"],
];

/** The detail is the error's class only: net-snmp puts the community into some of its messages. */
function snmpError(error: Error, session: Session): SnmpError {
  const { name } = error;
  if (name === "RequestTimedOutError") {
    // An agent that told its engine and is silent after that has dropped what it could not decrypt.
    const encrypted = session.user?.level === ENCRYPTED && session.msgSecurityParameters !== undefined;
    return new SnmpError(encrypted ? "snmp-privacy-silence" : "snmp-no-answer", name);
  }
  if ("status" in error && error.status === NO_SUCH_NAME_STATUS) {
    return new SnmpError("snmp-bad-answer", name, { cause: NO_SUCH_NAME });
  }
  const report = REPORTS.find(([beginning]) => error.message.startsWith(beginning));
  return new SnmpError(report?.[1] ?? "snmp-bad-answer", name);
}

/** SnmpSecurityLevel of RFC 3411 5: authPriv. */
const ENCRYPTED = 3;

function sessionOf(snmp: Library, { host, access }: SnmpTarget, options: SessionOptions): Session {
  switch (access.version) {
    case "1":
      return snmp.createSession(host, access.community, { ...options, version: snmp.Version1 });
    case "2c":
      return snmp.createSession(host, access.community, { ...options, version: snmp.Version2c });
    case "3": {
      const { user, authProtocol, privProtocol, authPassword, privPassword, context } = access;
      const auth =
        authPassword === undefined ? {} : { authProtocol: snmp.AuthProtocols[authProtocol], authKey: authPassword };
      const priv =
        privPassword === undefined ? {} : { privProtocol: snmp.PrivProtocols[privProtocol], privKey: privPassword };
      const level = authPassword === undefined ? 1 : privPassword === undefined ? 2 : ENCRYPTED;
      return snmp.createV3Session(host, { name: user, level, ...auth, ...priv }, { ...options, context });
    }
  }
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
