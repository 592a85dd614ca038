import { randomUUID } from "node:crypto";
import { open } from "node:fs/promises";
import { basename } from "node:path";
import { type Clock, systemClock } from "../../drivers/clock.ts";
import { cardToken } from "../cards/token.ts";
import type { PolicySettings } from "../protocol/policy.ts";
import type { Root } from "../protocol/root.ts";
import { Name } from "../protocol/schema.ts";
import { TicketAttributes } from "../protocol/ticket.ts";
import type { AgentEntry, EnrolmentRow } from "./agent-store.ts";
import { CentralError } from "./central-error.ts";
import { guessFormat, SIGNATURE_BYTES } from "./document-format.ts";
import { approveEnrolment, type ClaimedEnrolment, findEnrolment } from "./enrolment.ts";
import { JobPasswords } from "./job-passwords.ts";
import { readPolicyKey, replacePolicyKey } from "./keys.ts";
import { generatePin, Pins } from "./pins.ts";
import { type CurrentPolicy, PolicyBook, rootOf, signedPolicy } from "./policy-book.ts";
import { makeEd25519, makeRootKeys, nextRoot, readRootKeys, writeRootKeys } from "./root-keys.ts";
import { createSite, openSite, type Site } from "./site.ts";
import type { AuditEntry, By, Decision, JobEntry } from "./store.ts";

export const DEFAULT_HOSTS = ["localhost", "127.0.0.1", "::1"] as const;

const USER_NAME = /^(?!\s)[^\p{Cc}]{1,255}(?<!\s)$/u;
const CARD_NUMBER = USER_NAME;
const MEDIA_TYPE = /^[a-z0-9.+-]{1,63}\/[a-z0-9.+-]{1,63}$/;

export interface AddedJob {
  readonly id: string;
  readonly size: number;
  readonly sha256: string;
  readonly format: string;
  readonly expiresAt: number;
}

export interface JobRequest {
  readonly file: string;
  readonly user: string;
  /** The file's name where there is none. */
  readonly title?: string | undefined;
  /** A MIME type; guessed from the document's first octets where there is none. */
  readonly format?: string | undefined;
  readonly expiresInMs?: number | undefined;
  /** How it is to be printed; by the printer's defaults where there is none. */
  readonly ticket?: TicketAttributes | undefined;
  /** What a person types at the printer's panel before it prints. */
  readonly jobPassword?: string | undefined;
  /** Hears the octets stored so far, and how many there are in all. */
  readonly progress?: ((bytes: number, of: number) => void) | undefined;
}

/** What an administrator does with a site; works beside the running server. Rejects with a `CentralError`. */
export class Administration {
  readonly #site: Site;
  readonly #pins: Pins;
  readonly #jobPasswords: JobPasswords;
  readonly #policies: PolicyBook;
  readonly #clock: Clock;
  readonly #actor: string;

  private constructor(site: Site, clock: Clock, actor: string) {
    this.#site = site;
    this.#pins = new Pins(site.keys.manifestKey);
    this.#jobPasswords = new JobPasswords(site.keys.manifestKey);
    this.#policies = new PolicyBook(site.store, () => readPolicyKey(site.keysFolder));
    this.#clock = clock;
    this.#actor = actor;
  }

  /** Makes a new site for a server that agents reach by these host names and addresses. */
  static create(dataDir: string, hosts: readonly string[] = DEFAULT_HOSTS, clock: Clock = systemClock): Promise<void> {
    return createSite(dataDir, hosts, clock.wall());
  }

  /** `actor` is who the audit names. */
  static async open(dataDir: string, actor = "admin", clock: Clock = systemClock): Promise<Administration> {
    return new Administration(await openSite(dataDir, clock.wall()), clock, actor);
  }

  close(): Promise<void> {
    return this.#site.store.close();
  }

  async addUser(name: string, displayName = name): Promise<void> {
    if (!USER_NAME.test(name)) throw new CentralError("name-invalid", "the user's name");
    if (!USER_NAME.test(displayName)) throw new CentralError("name-invalid", "the display name");
    await this.#site.store.addUser(this.#by(), name, displayName);
  }

  enableUser(name: string, enabled: boolean): Promise<void> {
    return this.#site.store.enableUser(this.#by(), name, enabled);
  }

  /** `required`: a card alone is not enough from now on; undefined: as it was. Makes a PIN where none is given. */
  async setPin(
    user: string,
    asked: boolean | undefined,
    given?: string,
  ): Promise<{ readonly pin: string; readonly required: boolean }> {
    const { min_length } = (await this.#policies.settings()).pin;
    const pin = given ?? generatePin(min_length);
    if (pin.length < min_length) throw new CentralError("pin-invalid", `the policy asks for ${min_length} digits`);
    const required = await this.#site.store.setPin(this.#by(), user, await this.#pins.hash(pin), asked);
    return { pin, required };
  }

  clearPin(user: string): Promise<void> {
    return this.#site.store.clearPin(this.#by(), user);
  }

  unlockUser(user: string): Promise<void> {
    return this.#site.store.unlock(this.#by(), user);
  }

  /** The number that the person types with the PIN where no card is at hand; undefined: none. */
  async setId(user: string, id: string | undefined): Promise<void> {
    const idToken = id === undefined ? null : this.#pins.idToken(id);
    await this.#site.store.setId(this.#by(), user, idToken);
  }

  addCard(user: string, cardNumber: string): Promise<void> {
    return this.#site.store.addCard(this.#by(), user, this.#token(cardNumber));
  }

  removeCard(cardNumber: string): Promise<void> {
    return this.#site.store.removeCard(this.#by(), this.#token(cardNumber));
  }

  async addJob(request: JobRequest): Promise<AddedJob> {
    const { store, documents } = this.#site;
    const id = randomUUID();
    const ticket = ticketOf(request.ticket);
    const jobPassword =
      request.jobPassword === undefined ? undefined : this.#jobPasswords.seal(id, request.jobPassword);
    await store.jobs(this.#clock.wall(), request.user); // an unknown user is told before gigabytes are copied
    const source = await open(request.file, "r").catch((cause: NodeJS.ErrnoException) => {
      throw new CentralError("document-unreadable", `${request.file}: ${cause.code}`, { cause });
    });
    try {
      const info = await source.stat();
      if (!info.isFile()) throw new CentralError("document-unreadable", `${request.file} is not a file`);
      const format = await formatOf(request.format, () =>
        source.read(Buffer.alloc(SIGNATURE_BYTES), 0, SIGNATURE_BYTES, 0),
      );
      const stored = await documents.add(id, source, (bytes) => request.progress?.(bytes, info.size));
      const by = this.#by();
      const expiresAt = by.at + (request.expiresInMs ?? (await this.#policies.settings()).retention.held_h * 3_600_000);
      const title = (request.title ?? basename(request.file)).slice(0, 255);
      try {
        await store.addJob(by, { id, user: request.user, title, format, expiresAt, ...stored, ticket, jobPassword });
      } catch (error) {
        await documents.remove(id);
        throw error;
      }
      return { id, size: stored.size, sha256: stored.sha256, format, expiresAt };
    } finally {
      await source.close();
    }
  }

  jobs(user?: string): Promise<readonly JobEntry[]> {
    return this.#site.store.jobs(this.#clock.wall(), user);
  }

  async decide(jobId: string, decision: Decision): Promise<void> {
    const { store, documents } = this.#site;
    await store.decide(this.#by(), jobId, decision);
    if (decision === "printed") await documents.remove(jobId);
  }

  agents(): Promise<readonly AgentEntry[]> {
    return this.#site.store.agents();
  }

  /** Takes effect at once: the running server closes what the agent has open. */
  revokeAgent(name: string): Promise<void> {
    return this.#site.store.revokeAgent(this.#by(), name);
  }

  /** Those that wait to be approved. */
  enrolments(): Promise<readonly EnrolmentRow[]> {
    return this.#site.store.pendingEnrolments(this.#clock.wall());
  }

  /** The request that this claim code is for, to be compared by a person and then approved. */
  enrolmentOf(claimCode: string): Promise<ClaimedEnrolment> {
    return findEnrolment(this.#site, claimCode, this.#by());
  }

  /** The request becomes an agent. `replace`: the agent of this name, if there is one, gets the request's keys. */
  async approve(
    enrolment: ClaimedEnrolment,
    agent: { readonly name: string; readonly replace?: boolean },
  ): Promise<void> {
    if (!Name.safeParse(agent.name).success) throw new CentralError("name-invalid", "the agent's name");
    const { name, replace = false } = agent;
    await approveEnrolment(this.#site, enrolment, { name, replace }, this.#by());
  }

  /** What is in force. `policy-unusable` */
  async policy(): Promise<CurrentPolicy> {
    const current = await this.#policies.current();
    if (current === undefined) throw new CentralError("policy-unusable", "there is none");
    return current;
  }

  /** From then on the server obeys the settings, and agents that are connected get them at once. */
  publishPolicy(settings: PolicySettings): Promise<CurrentPolicy> {
    return this.#policies.publish(this.#by(), settings);
  }

  /**
   * A new policy key, under the next root document, which the root keys in `offline` sign; the settings in force are
   * signed anew with it. `newRootKeys`: a folder for new root keys, too. `root-keys-unusable`, `root-keys-missing`
   */
  async rotateRoot(offline: readonly string[], newRootKeys?: string): Promise<Root> {
    const { store, keysFolder } = this.#site;
    const keys = await readRootKeys(offline);
    const by = this.#by();
    const current = rootOf(await store.root(await store.newestRoot()));
    const settings = await this.#policies.settings();
    const policyKey = makeEd25519();
    const fresh = newRootKeys === undefined ? undefined : makeRootKeys();
    const { root, envelope } = nextRoot(current, keys, policyKey, fresh, by.at);
    if (fresh !== undefined && newRootKeys !== undefined) await writeRootKeys(newRootKeys, fresh);
    // The key goes first: without it nothing could ever be signed under the new root. With it and without the root, rotating once more helps.
    await replacePolicyKey(keysFolder, policyKey);
    const version = root.version;
    await store.addRoot(
      by,
      version,
      envelope,
      signedPolicy({ root: version, version: 1, settings, issuedAt: by.at }, policyKey),
    );
    return root;
  }

  audit(limit: number): Promise<readonly AuditEntry[]> {
    return this.#site.store.audit(limit);
  }

  #by(): By {
    return { actor: this.#actor, at: this.#clock.wall() };
  }

  #token(cardNumber: string): string {
    if (!CARD_NUMBER.test(cardNumber)) throw new CentralError("card-number-invalid");
    return cardToken(Buffer.from(this.#site.keys.cardKey, "base64url"), cardNumber);
  }
}

/** `ticket-invalid`. A ticket that asks for nothing is none. */
function ticketOf(given: TicketAttributes | undefined): TicketAttributes | undefined {
  if (given === undefined) return undefined;
  const parsed = TicketAttributes.safeParse(given);
  if (parsed.success) return Object.keys(parsed.data).length === 0 ? undefined : parsed.data;
  throw new CentralError("ticket-invalid", parsed.error.issues[0]?.path.join(".") || "an attribute that no ticket has");
}

async function formatOf(named: string | undefined, head: () => Promise<{ buffer: Buffer; bytesRead: number }>) {
  if (named !== undefined) {
    if (!MEDIA_TYPE.test(named)) throw new CentralError("format-unknown", "--format must be a MIME type");
    return named;
  }
  const { buffer, bytesRead } = await head();
  const guessed = guessFormat(buffer.subarray(0, bytesRead));
  if (guessed === undefined) throw new CentralError("format-unknown");
  return guessed;
}
