import { createHash } from "node:crypto";
import type { KnownAgent } from "../../../agent/central/agent-store.ts";
import type { Agent, By, Store } from "../../../agent/central/store.ts";

/** SHA-256 of the key that an agent of this name has in tests of the store, which looks at no key itself. */
export const keyHashOf = (name: string): Buffer => createHash("sha256").update(name).digest();

/** An agent in a store, without a device and a certificate: as after a request and its approval. */
export async function agentIn(store: Store, name: string, by: By = { actor: "test", at: 0 }): Promise<Agent> {
  const id = keyHashOf(name).toString("hex");
  const request = { id, tlsKey: Buffer.from(name), signingKey: "", sealingKey: "", proof: "", address: "" };
  await store.addEnrolment({ ...request, requestedAt: by.at }, { address: 1000, all: 1000 });
  const approved = { id, name, replace: false, certificateUntil: by.at + 1 };
  await store.approveEnrolment(by, { ...approved, content: Buffer.from("x"), approvalProof: "x" });
  const { id: row } = await known(store, name);
  return { id: row, name };
}

export async function known(store: Store, name: string): Promise<KnownAgent> {
  const agent = await store.agentByKey(keyHashOf(name));
  if (agent === undefined) throw new Error("the agent is missing");
  return agent;
}
