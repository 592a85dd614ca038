import { constants, X509Certificate } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import { type AddressInfo, isIPv6, type Socket } from "node:net";
import { type Clock, pause, systemClock } from "../../drivers/clock.ts";
import { codeOf } from "../../drivers/coded-error.ts";
import { type Log, silentLog } from "../../drivers/log.ts";
import { CentralError } from "./central-error.ts";
import { EventHub } from "./event-hub.ts";
import { type Answer, send } from "./http.ts";
import { readKeys, readPolicyKey, renewServerCertificate } from "./keys.ts";
import { News } from "./news.ts";
import { PolicyBook } from "./policy-book.ts";
import { DEFAULT_LIMITS, type Limits, Routes } from "./routes.ts";
import { openSite, type Site } from "./site.ts";

/** Time-outs of connections, in ms; `DEFAULT_TIMES` has the values that a site runs with. */
export interface Times {
  readonly handshakeMs: number;
  /** Until a request's header, and the whole request, must be there. */
  readonly headersMs: number;
  readonly requestMs: number;
  /** How long an agent's idle connection stays open, so that the next tap finds it warm. */
  readonly keepAliveMs: number;
  /** How long an agent may take nothing of a document: its printer may be out of paper meanwhile. */
  readonly stallMs: number;
  /** How often a stream of events that has none says that it lives. */
  readonly heartbeatMs: number;
  /** How long `stop` lets requests finish. */
  readonly graceMs: number;
  /** How often expired jobs are ended; every sixtieth time, leftover files and the certificate are looked at too. */
  readonly sweepMs: number;
  /** How often it is looked whether an administrator's command has changed anything. */
  readonly watchMs: number;
}

export const DEFAULT_TIMES: Times = {
  handshakeMs: 10_000,
  headersMs: 10_000,
  requestMs: 30_000,
  keepAliveMs: 120_000,
  stallMs: 900_000,
  heartbeatMs: 15_000,
  graceMs: 5_000,
  sweepMs: 60_000,
  watchMs: 250,
};

const TLS = {
  minVersion: "TLSv1.2",
  // No session is ever resumed: a resumed one shows the agent no certificate to check the key pin of, nor us the agent's.
  // And a connection keeps the certificate that it began with.
  secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
} as const;
/** A new agent has no certificate, and what an ended one is good for depends on the path: `Peers` judges, not the handshake. */
const CLIENTS = { requestCert: true, rejectUnauthorized: false } as const;
const MAX_CONNECTIONS = 512;
const HOUSEKEEPING_EVERY = 60;
/** A file this young may belong to a job that is just being added. */
const YOUNG_MS = 3_600_000;

export interface CentralServerOptions {
  readonly dataDir: string;
  readonly host?: string;
  /** 0: any free one. */
  readonly port?: number;
  readonly clock?: Clock;
  readonly log?: Log;
  /** Added before each answer; for measurements. */
  readonly delayMs?: number;
  readonly limits?: Partial<Limits>;
  readonly times?: Partial<Times>;
}

/** The built-in central server, running. */
export class CentralServer {
  readonly url: string;
  readonly port: number;
  readonly #server: Server;
  readonly #site: Site;
  readonly #routes: Routes;
  readonly #policies: PolicyBook;
  readonly #hub: EventHub;
  readonly #news: News;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #times: Times;
  readonly #delayMs: number;
  readonly #sockets = new Set<Socket>();
  readonly #work = new Set<Promise<void>>();
  #cancelSweep: () => void = () => {};
  #cancelWatch: () => void = () => {};
  #sweeps = 0;
  #stopping: Promise<void> | undefined;

  /** Opens the folder, listens, and starts the sweep. Rejects with a `CentralError`. */
  static async start(options: CentralServerOptions): Promise<CentralServer> {
    const { clock = systemClock, log = silentLog } = options;
    const times = { ...DEFAULT_TIMES, ...options.times };
    const site = await openSite(options.dataDir, clock.wall());
    const server = createServer({
      key: site.keys.serverKey,
      cert: site.keys.serverCertificate,
      ca: site.keys.agentsAuthority.certificate,
      ...CLIENTS,
      ALPNProtocols: ["http/1.1"],
      ...TLS,
      handshakeTimeout: times.handshakeMs,
      headersTimeout: times.headersMs,
      requestTimeout: times.requestMs,
      keepAliveTimeout: times.keepAliveMs,
      connectionsCheckingInterval: Math.min(times.headersMs, 5000),
      maxHeaderSize: 8 * 1024,
      noDelay: true,
    });
    server.maxConnections = MAX_CONNECTIONS;
    const { host = "127.0.0.1", port = 0 } = options;
    try {
      await listening(server, host, port);
      const policies = new PolicyBook(site.store, () => readPolicyKey(site.keysFolder));
      const hub = new EventHub(clock, times.heartbeatMs);
      const routes = new Routes({
        ...site,
        policies,
        hub,
        clock,
        log,
        limits: { ...DEFAULT_LIMITS, ...options.limits },
      });
      const started = new CentralServer(
        server,
        host,
        site,
        routes,
        policies,
        hub,
        clock,
        log,
        times,
        options.delayMs ?? 0,
      );
      await started.#housekeeping();
      await started.#news.look();
      started.#news.start();
      started.#sweepLater();
      started.#watchLater();
      return started;
    } catch (error) {
      server.close();
      await site.store.close();
      throw error;
    }
  }

  private constructor(
    server: Server,
    host: string,
    site: Site,
    routes: Routes,
    policies: PolicyBook,
    hub: EventHub,
    clock: Clock,
    log: Log,
    times: Times,
    delayMs: number,
  ) {
    this.#server = server;
    this.#site = site;
    this.#routes = routes;
    this.#policies = policies;
    this.#hub = hub;
    this.#news = new News(site.store, hub, clock, log);
    this.#clock = clock;
    this.#log = log;
    this.#times = times;
    this.#delayMs = delayMs;
    this.port = (server.address() as AddressInfo).port;
    this.url = `https://${isIPv6(host) ? `[${host}]` : host}:${this.port}`;
    server.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
    });
    server.on("tlsClientError", (error: Error & { code?: string }) => {
      log.debug({ code: error.code }, "a TLS handshake failed");
    });
    server.on("request", (request: IncomingMessage, response: ServerResponse) => {
      const work = this.#handle(request, response);
      this.#work.add(work);
      void work.finally(() => this.#work.delete(work));
    });
  }

  /** Open TCP connections. */
  get connections(): number {
    return this.#sockets.size;
  }

  /** Ends idle connections at once and the others within the grace time; then nothing of the server is open. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    this.#cancelSweep();
    this.#cancelWatch();
    this.#news.stop();
    this.#hub.close();
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeIdleConnections();
    const cancel = this.#clock.after(this.#times.graceMs, () => {
      for (const socket of this.#sockets) socket.destroy();
    });
    await closed;
    cancel();
    await Promise.allSettled(this.#work);
    await this.#site.store.close();
  }

  /** Never rejects. */
  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let answer: Answer;
    try {
      answer = await this.#routes.answer(request);
    } catch (error) {
      if (request.destroyed && !request.complete) return this.#gone(error); // the agent hung up while it sent
      this.#log.error({ code: codeOf(error), error: String(error) }, "a request failed");
      answer = { problem: "internal-error" };
    }
    try {
      // A pause never rejects, so an open document always reaches `send`, which closes it.
      if (this.#delayMs > 0) await pause(this.#clock, this.#delayMs);
      await send(request, response, answer, this.#times.stallMs);
    } catch (error) {
      this.#gone(error);
      response.destroy();
    }
  }

  #gone(error: unknown): void {
    this.#log.debug({ error: String(error) }, "a connection broke before its answer was through");
  }

  #sweepLater(): void {
    this.#cancelSweep = this.#clock.after(this.#times.sweepMs, () => {
      const work = this.#sweep();
      this.#work.add(work);
      void work.finally(() => this.#work.delete(work));
    });
  }

  /** Each look asks SQLite for one number that it has in shared memory. */
  #watchLater(): void {
    this.#cancelWatch = this.#clock.after(this.#times.watchMs, () => {
      const work = this.#routes.peers.closeStrangers().catch((error: unknown) => {
        this.#log.error({ code: codeOf(error), error: String(error) }, "open connections could not be checked");
      });
      this.#work.add(work);
      void work.finally(() => {
        this.#work.delete(work);
        if (this.#stopping === undefined) this.#watchLater();
      });
    });
  }

  /** Never rejects. */
  async #sweep(): Promise<void> {
    try {
      this.#sweeps += 1;
      if (this.#sweeps % HOUSEKEEPING_EVERY === 0) await this.#housekeeping();
      else await this.#expire();
    } catch (error) {
      this.#log.error({ code: codeOf(error), error: String(error) }, "the sweep failed; it is tried again");
    }
    if (this.#stopping === undefined) this.#sweepLater();
  }

  async #expire(): Promise<void> {
    const { ended_d } = (await this.#policies.settings()).retention;
    const expired = await this.#site.store.expire(this.#clock.wall(), ended_d * 86_400_000);
    for (const jobId of expired) await this.#site.documents.remove(jobId);
    if (expired.length > 0) this.#log.info({ jobs: expired.length }, "held jobs expired");
  }

  async #renewPolicy(now: number): Promise<void> {
    try {
      if (await this.#policies.renew({ actor: "central", at: now })) this.#log.info({}, "the policy was signed anew");
    } catch (error) {
      // What is in force is good for as long again: time to look at the log.
      this.#log.error({ code: codeOf(error), error: String(error) }, "the policy could not be signed anew");
    }
  }

  async #housekeeping(): Promise<void> {
    await this.#expire();
    const now = this.#clock.wall();
    await this.#renewPolicy(now);
    const { store, documents, keysFolder } = this.#site;
    const removed = await documents.removeUnneeded((jobId) => store.needsDocument(jobId, now), now - YOUNG_MS);
    if (removed > 0) this.#log.info({ files: removed }, "leftover documents removed");
    try {
      if (!(await renewServerCertificate(keysFolder, now))) return;
      const { serverKey: key, serverCertificate: cert, agentsAuthority } = await readKeys(keysFolder);
      this.#server.setSecureContext({ ...TLS, key, cert, ca: agentsAuthority.certificate });
      this.#log.info({ until: new X509Certificate(cert).validTo }, "the server certificate was renewed");
    } catch (error) {
      // The old certificate serves for up to 30 more days: time to bring the CA's key back.
      this.#log.error({ code: codeOf(error), error: String(error) }, "the server certificate could not be renewed");
    }
  }
}

function listening(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (cause: Error & { code?: string }) => {
      reject(new CentralError("central-listen-failed", `${host}:${port} ${cause.code ?? ""}`.trim(), { cause }));
    };
    server.once("error", failed);
    server.listen({ host, port }, () => {
      server.off("error", failed);
      resolve();
    });
  });
}
