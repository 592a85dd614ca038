import { randomUUID } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { Agent as HttpAgent, type RequestOptions, request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { cardToken } from "../../../agent/cards/token.ts";
import { type AddedJob, Administration } from "../../../agent/central/administration.ts";
import { CentralServer, type CentralServerOptions } from "../../../agent/central/server.ts";
import { enrol } from "../../../agent/demo/enrolled.ts";
import type { Identity } from "../../../agent/link/enrolment/identity.ts";
import { openManifest } from "../../../agent/protocol/envelope.ts";
import { BOOT_HEADER, CLAIM_HEADER, paths } from "../../../agent/protocol/paths.ts";
import type { Manifest, Outcome, TapAnswer } from "../../../agent/protocol/schema.ts";
import { FakeClock } from "../../sim/clock.ts";

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
  readonly json: Record<string, unknown>;
}

export const tempFolder = (): Promise<string> => mkdtemp(join(tmpdir(), "printgate-central-test-"));

/** A site in a temporary folder, its server running, with ways to act as administrator and as agents. */
export class SiteFixture {
  readonly folder: string;
  readonly dataDir: string;
  readonly admin: Administration;
  readonly clock: FakeClock;
  readonly server: CentralServer;

  private constructor(folder: string, dataDir: string, admin: Administration, clock: FakeClock, server: CentralServer) {
    this.folder = folder;
    this.dataDir = dataDir;
    this.admin = admin;
    this.clock = clock;
    this.server = server;
  }

  /** `wall`: what its clock shows at first. Real TLS clients judge the server's certificate by the real time. */
  static async start(options: Partial<CentralServerOptions> = {}, wall = Date.now()): Promise<SiteFixture> {
    const folder = await tempFolder();
    const dataDir = join(folder, "central");
    const clock = new FakeClock(0, wall);
    await Administration.create(dataDir, undefined, clock);
    const admin = await Administration.open(dataDir, "admin:test", clock);
    const server = await CentralServer.start({ dataDir, clock, ...options });
    return new SiteFixture(folder, dataDir, admin, clock, server);
  }

  async addDocument(user: string, bytes: Buffer | string, expiresInMs?: number): Promise<AddedJob> {
    const file = join(this.folder, randomUUID());
    await writeFile(file, bytes);
    return this.admin.addJob({ file, user, format: "application/pdf", expiresInMs });
  }

  async addAgent(name: string): Promise<AgentFixture> {
    const stateDir = join(this.folder, `state-${name}`);
    await mkdir(stateDir, { mode: 0o700 });
    const identity = await enrol(this.admin, { url: this.server.url, stateDir, name, boot: BOOT });
    return new AgentFixture(identity);
  }

  async stop(): Promise<void> {
    await this.server.stop();
    await this.admin.close();
    await rm(this.folder, { recursive: true });
  }
}

/** The boot that agents of the fixture speak from. */
export const BOOT = "b007b007b007b007b007b007b007b007";

/** An agent as the protocol sees it, on one keep-alive connection pool. */
export class AgentFixture {
  readonly identity: Identity;
  /** For `tls.connect`: what it trusts and what it shows. */
  readonly tls: { readonly ca: string; readonly cert: string; readonly key: string };
  boot = BOOT;
  readonly #connections: HttpAgent;

  constructor(identity: Identity) {
    const { trust, granted, keys } = identity;
    this.identity = identity;
    this.tls = { ca: trust.ca, cert: granted.certificate, key: keys.tls };
    this.#connections = new HttpAgent({ keepAlive: true, ...this.tls });
  }

  request(method: string, path: string, options: RequestOptions = {}, body?: string | Buffer): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const { headers, ...rest } = options;
      const sent = request(
        this.identity.url,
        { method, agent: this.#connections, path, headers: { [BOOT_HEADER]: this.boot, ...headers }, ...rest },
        (response) => {
          buffer(response).then((bytes) => {
            const isJson = response.headers["content-type"] === "application/json";
            const json = isJson ? (JSON.parse(bytes.toString()) as Record<string, unknown>) : {};
            resolve({ status: response.statusCode ?? 0, headers: response.headers, body: bytes, json });
          }, reject);
        },
      );
      sent.once("error", reject);
      sent.end(body);
    });
  }

  post(path: string, body: unknown): Promise<Reply> {
    const headers = { "content-type": "application/json" };
    return this.request("POST", path, { headers }, JSON.stringify(body));
  }

  tapBody(cardNumber: string, tapId: string = randomUUID()) {
    const token = cardToken(Buffer.from(this.identity.granted.cardKey, "base64url"), cardNumber);
    const at = "2026-01-01T00:00:00.000Z";
    return { tapId, at, reader: "front", printer: "mfd-1", credential: { kind: "card", token } };
  }

  async tap(cardNumber: string, tapId?: string): Promise<{ answer: TapAnswer; manifests: Manifest[] }> {
    const reply = await this.post(paths.taps, this.tapBody(cardNumber, tapId));
    const answer = reply.json as unknown as TapAnswer;
    const jobs = answer.result === "accepted" ? answer.jobs : [];
    return { answer, manifests: jobs.map((envelope) => openManifest(envelope, this.identity.granted.manifestKey)) };
  }

  /** A tap with a PIN; `who` is a card number, or the number of a person. */
  async tapWithPin(
    who: { readonly card: string } | { readonly id: string },
    pin: string,
    more: { readonly tapId?: string; readonly reader?: string } = {},
  ): Promise<Reply> {
    const body = this.tapBody("card" in who ? who.card : "", more.tapId);
    const { token } = body.credential;
    const credential = "card" in who ? { kind: "card-pin", token, pin } : { kind: "id-pin", id: who.id, pin };
    return this.post(paths.taps, { ...body, reader: more.reader ?? body.reader, credential });
  }

  document({ jobId, claimId }: Pick<Manifest, "jobId" | "claimId">): Promise<Reply> {
    return this.request("GET", paths.document(jobId), { headers: { [CLAIM_HEADER]: claimId } });
  }

  renew({ jobId, claimId }: Manifest): Promise<Reply> {
    return this.post(paths.lease(jobId), { claimId });
  }

  async outcome(
    { jobId, claimId }: Pick<Manifest, "jobId" | "claimId">,
    word: Outcome["word"],
    state: Outcome["state"],
  ): Promise<unknown> {
    const body: Outcome = { claimId, word, state, reason: "none", at: "2026-01-01T00:00:00.000Z" };
    return (await this.post(paths.outcome(jobId), body)).json.result;
  }

  close(): void {
    this.#connections.destroy();
  }
}
