import { createHash, X509Certificate } from "node:crypto";
import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import type { Clock } from "../../drivers/clock.ts";
import { BOOT_HEADER } from "../protocol/paths.ts";
import type { ProblemCode } from "../protocol/problems.ts";
import type { AgentStore, KnownAgent } from "./agent-store.ts";
import { issuedBy } from "./certificates.ts";
import type { Agent } from "./store.ts";

/**
 * A device that was off for long comes back with a certificate that has ended. For half a year it may do nothing with it but
 * fetch the next one; then it is enrolled anew.
 */
export const GRACE_MS = 180 * 86_400_000;

const BOOT = /^[0-9a-f]{32}$/;

/** What a connection's certificate says; the handshake proved that the other side has its key. */
interface Peer {
  readonly socket: Socket;
  /** SHA-256 of the key (SPKI, DER). */
  readonly keyHash: Buffer;
  readonly name: string;
  readonly until: number;
  /** The agent and its boot that have spoken on this connection. */
  agentId?: number;
  boot?: string;
}

export type Known = { readonly agent: Agent } | { readonly problem: ProblemCode };

/**
 * Who is at the other end. A certificate counts only with all of: our CA's signature, an agent of its name that has its key, and a boot
 * that no other boot of the same key has followed. All but the signature is asked of the store for each request, so that a word of the
 * administrator counts at once.
 */
export class Peers {
  readonly #authority: X509Certificate;
  readonly #store: AgentStore;
  readonly #clock: Clock;
  readonly #peers = new Map<Socket, Peer | undefined>();
  #changes = 0;

  constructor(authority: string, store: AgentStore, clock: Clock) {
    this.#authority = new X509Certificate(authority);
    this.#store = store;
    this.#clock = clock;
  }

  /** `renewing`: the request is one that an ended certificate is still good for. */
  async agentOf(
    { socket, headers }: { readonly socket: Socket; readonly headers: Readonly<Record<string, unknown>> },
    renewing: boolean,
  ): Promise<Known> {
    const peer = this.#peerOf(socket);
    const agent = peer && (await this.#store.agentByKey(peer.keyHash));
    if (agent === undefined || agent.name !== peer?.name) return { problem: "not-an-agent" };
    if (!agent.enabled) return { problem: "agent-revoked" };
    if (agent.clonedAt !== null) return { problem: "agent-cloned" };
    // Its beginning is not looked at: we issued it, and if our clock was set back, no agent should be kept out by that.
    const now = this.#clock.wall();
    if (now >= peer.until && !(renewing && now < peer.until + GRACE_MS)) return { problem: "certificate-expired" };
    const boot = headers[BOOT_HEADER];
    if (typeof boot !== "string" || !BOOT.test(boot)) return { problem: "boot-missing" };
    peer.agentId = agent.id;
    if (agent.boot !== boot && (await this.#booted(agent, peer, boot, now)) === "cloned") {
      return { problem: "agent-cloned" };
    }
    peer.boot = boot;
    if (agent.byNextKey) await this.#store.changeKey(agent, now);
    return { agent };
  }

  /**
   * Connections of an earlier boot are ended first, so that nothing which was on its way when that device went down is ever taken for
   * a sign of life: whoever speaks for the earlier boot from now on has just made a connection.
   */
  async #booted(agent: KnownAgent, peer: Peer, boot: string, now: number): Promise<"current" | "cloned"> {
    const mates = (other: Peer) => other !== peer && other.agentId === agent.id;
    this.#close((other) => mates(other) && other.boot !== undefined && other.boot !== boot);
    const result = await this.#store.booted(agent, boot, now);
    if (result === "cloned") this.#close(mates);
    return result;
  }

  /** Ends the connections of agents that another process (a command of the administrator) took the right from. */
  async closeStrangers(): Promise<void> {
    const changes = await this.#store.changesByOthers();
    if (changes === this.#changes) return;
    this.#changes = changes;
    for (const peer of this.#peers.values()) {
      if (peer === undefined) continue;
      const agent = await this.#store.agentByKey(peer.keyHash);
      if (agent?.enabled !== true || agent.clonedAt !== null) peer.socket.destroy();
    }
  }

  #close(which: (peer: Peer) => boolean): void {
    for (const peer of this.#peers.values()) if (peer !== undefined && which(peer)) peer.socket.destroy();
  }

  /** Read once for each connection, which has one certificate: renegotiation is off and no session is resumed. */
  #peerOf(socket: Socket): Peer | undefined {
    if (this.#peers.has(socket)) return this.#peers.get(socket);
    const peer = this.#judged(socket);
    this.#peers.set(socket, peer);
    socket.once("close", () => this.#peers.delete(socket));
    return peer;
  }

  #judged(socket: Socket): Peer | undefined {
    const certificate = socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined;
    // Not by `authorized`: OpenSSL tells one fault of several, so that an expired certificate of a stranger looks like one of ours.
    if (certificate === undefined || !issuedBy(this.#authority, certificate)) return undefined;
    const key = certificate.publicKey.export({ type: "spki", format: "der" });
    return {
      socket,
      keyHash: createHash("sha256").update(key).digest(),
      name: /^CN=([^\n]*)$/.exec(certificate.subject)?.[1] ?? "",
      until: certificate.validToDate.getTime(),
    };
  }
}
