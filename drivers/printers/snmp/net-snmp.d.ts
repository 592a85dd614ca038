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
  }

  export interface SessionOptions {
    readonly version: number;
    readonly port: number;
    readonly transport: "udp4" | "udp6";
    /** Milliseconds for each try. */
    readonly timeout: number;
    readonly retries: number;
    readonly backoff: number;
    readonly reportOidMismatchErrors: boolean;
    readonly dgramModule: { createSocket(type: SocketType): Socket };
  }

  const snmp: {
    readonly Version2c: number;
    createSession(host: string, community: string, options: SessionOptions): Session;
    isVarbindError(varbind: Varbind): boolean;
  };
  export default snmp;
}
