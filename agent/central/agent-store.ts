/** Who does it, and when. */
export interface By {
  readonly actor: string;
  readonly at: number;
}

export interface Agent {
  readonly id: number;
  readonly name: string;
}

/** What the central server remembers of agents: requests to be enrolled, keys, boots. Part of the `Store`; its rules hold here. */
export interface AgentStore {
  /** Keeps a request, unless its key or its place is taken; `limits` are of those that wait, from one address and in all. */
  addEnrolment(request: EnrolmentRow, limits: { address: number; all: number }): Promise<"added" | "full" | "over">;
  enrolment(id: string): Promise<KnownEnrolment | undefined>;
  /** Those that wait for a person and whose time is not over; oldest first. */
  pendingEnrolments(now: number): Promise<readonly EnrolmentRow[]>;
  /** Two requests fit one code: neither can be trusted. */
  dropEnrolments(by: By, ids: readonly string[]): Promise<void>;
  /**
   * The request becomes the agent of this name; with `replace` one that there is gets the new key, and the old key is worth nothing.
   * `agent-exists`, `claim-unknown`
   */
  approveEnrolment(by: By, approval: Approval): Promise<void>;

  /** The agent that has this TLS key (SHA-256 of its SPKI) or is to change to it, whatever its state. */
  agentByKey(keyHash: Uint8Array): Promise<KnownAgent | undefined>;
  /** The key that the agent changes to at its first use. False if the key is another agent's. */
  offerKey(agent: Agent, keyHash: Uint8Array, certificateUntil: number, now: number): Promise<boolean>;
  /** The agent used the offered key: the one before is worth nothing from now on. */
  changeKey(agent: Agent, now: number): Promise<void>;
  /** The agent speaks from this boot. One that another has followed already is a copy of it: both are refused from then on. */
  booted(agent: Agent, boot: string, now: number): Promise<"current" | "cloned">;
  /** `agent-unknown` */
  revokeAgent(by: By, name: string): Promise<void>;
  agents(): Promise<readonly AgentEntry[]>;
  /** Another number whenever another process has changed the database. */
  changesByOthers(): Promise<number>;
}

export interface EnrolmentRow {
  /** SHA-256 of the TLS key, hex. */
  readonly id: string;
  /** The key, as SPKI in DER. */
  readonly tlsKey: Uint8Array;
  readonly signingKey: string;
  readonly sealingKey: string;
  readonly proof: string;
  readonly address: string;
  readonly requestedAt: number;
}

export interface KnownEnrolment extends EnrolmentRow {
  /** Null until a person approved. */
  readonly content: Uint8Array | null;
  readonly approvalProof: string | null;
}

export interface Approval {
  readonly id: string;
  readonly name: string;
  readonly replace: boolean;
  readonly certificateUntil: number;
  /** The bytes for the agent, and their proof. */
  readonly content: Uint8Array;
  readonly approvalProof: string;
}

export interface KnownAgent extends Agent {
  readonly enabled: boolean;
  /** When a second device with its key was noticed; null: never. */
  readonly clonedAt: number | null;
  /** Which boot it speaks from; null before its first word. */
  readonly boot: string | null;
  /** It was asked for by the key that it is to change to. */
  readonly byNextKey: boolean;
}

export interface AgentEntry {
  readonly name: string;
  readonly enabled: boolean;
  readonly addedAt: number;
  /** Of the newest certificate that it was given; null: it was never enrolled. */
  readonly certificateUntil: number | null;
  readonly clonedAt: number | null;
}
