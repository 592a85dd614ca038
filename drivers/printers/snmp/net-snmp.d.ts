// net-snmp ships no types; these are the few that we use (3.29).
declare module "net-snmp" {
  import type { Socket, SocketType } from "node:dgram";

  export interface Varbind {
    readonly oid: string;
    readonly type: number;
    /** INTEGER as number, OCTET STRING as Buffer, OBJECT IDENTIFIER as string, errors as null. */
    readonly value: unknown;
  }

  export type VarbindsCallback = (error: Error | null, varbinds?: readonly Varbind[]) => void;

  export interface Session {
    get(oids: readonly string[], done: VarbindsCallback): void;
    getNext(oids: readonly string[], done: VarbindsCallback): void;
    on(event: "error", listener: (error: Error) => void): void;
    close(): void;
    /** Of an SNMPv3 session. */
    readonly user?: User;
    /** What the agent told of its engine; undefined before it has answered anything. */
    readonly msgSecurityParameters?: object;
  }

  /** `level` is RFC 3411's SnmpSecurityLevel: 1 noAuthNoPriv, 2 authNoPriv, 3 authPriv. */
  export interface User {
    readonly name: string;
    readonly level: number;
    readonly authProtocol?: number | undefined;
    readonly authKey?: string;
    readonly privProtocol?: number | undefined;
    readonly privKey?: string;
  }

  export interface SessionOptions {
    readonly port: number;
    readonly transport: "udp4" | "udp6";
    /** Milliseconds for each try. */
    readonly timeout: number;
    readonly retries: number;
    readonly backoff: number;
    readonly reportOidMismatchErrors: boolean;
    readonly dgramModule: { createSocket(type: SocketType): Socket };
  }

  export interface Library {
    readonly Version1: number;
    readonly Version2c: number;
    readonly AuthProtocols: Readonly<Record<string, number>>;
    readonly PrivProtocols: Readonly<Record<string, number>>;
    createSession(host: string, community: string, options: SessionOptions & { readonly version: number }): Session;
    createV3Session(host: string, user: User, options: SessionOptions & { readonly context: string }): Session;
    isVarbindError(varbind: Varbind): boolean;
  }

  const snmp: Library;
  export default snmp;
}
