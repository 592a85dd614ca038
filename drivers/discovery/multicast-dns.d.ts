// multicast-dns ships no types; these are the few that we use (7.2, with dns-packet 5).
declare module "multicast-dns" {
  import type { EventEmitter } from "node:events";

  export interface Question {
    readonly name: string;
    readonly type: "PTR" | "SRV" | "TXT" | "A" | "AAAA";
  }

  export interface Options {
    /** Bound and sent to; 5353 by default. */
    readonly port?: number;
    /** The address of the one interface that it listens and sends on. */
    readonly interface?: string;
    readonly bind?: string;
  }

  /** Emits `response` with what dns-packet made of a packet, `warning`, `error` and `ready`. */
  export interface MulticastDns extends EventEmitter {
    query(questions: readonly Question[], done?: (error?: Error | null) => void): void;
    destroy(done?: () => void): void;
  }

  export default function multicastDns(options: Options): MulticastDns;
}
