import { createPublicKey, X509Certificate } from "node:crypto";
import {
  approvalProof,
  claimKey,
  digestOf,
  fingerprintOf,
  isProof,
  readClaimCode,
  requestProof,
} from "../protocol/claim.ts";
import { CARD_KEY_PURPOSE, type EnrolmentContent } from "../protocol/enrolment.ts";
import { anchorOf } from "../protocol/root.ts";
import { rawOf, sealTo } from "../protocol/sealed.ts";
import type { EnrolmentRow } from "./agent-store.ts";
import { CentralError } from "./central-error.ts";
import { certifyAgent } from "./certificates.ts";
import type { Site } from "./site.ts";
import type { By, Store } from "./store.ts";

/** A request whose proof fits a claim code that a person brought: it knows the code and saw this server's keys. */
export interface ClaimedEnrolment {
  readonly request: EnrolmentRow;
  /** What the agent shows too, if nobody stands between. */
  readonly fingerprint: string;
  /** For the proof of the approval; never leaves the process. */
  readonly key: Buffer;
}

/** `claim-invalid`, `claim-unknown`, `claim-ambiguous` */
export async function findEnrolment(site: Site, typed: string, by: By): Promise<ClaimedEnrolment> {
  const code = readClaimCode(typed);
  if (code === undefined) throw new CentralError("claim-invalid");
  const found: ClaimedEnrolment[] = [];
  // Only as many as the server lets wait; each takes the time of one stretched key.
  for (const request of await site.store.pendingEnrolments(by.at)) {
    const key = await claimKey(code, request.tlsKey);
    const digest = digestOfRequest(site, request);
    if (!isProof(request.proof, requestProof(key, digest))) continue;
    found.push({ request, fingerprint: await fingerprintOf(digest), key });
  }
  const [first, ...others] = found;
  if (first === undefined) throw new CentralError("claim-unknown");
  if (others.length === 0) return first;
  const ids = found.map(({ request }) => request.id);
  await site.store.dropEnrolments(by, ids);
  throw new CentralError("claim-ambiguous", `${ids.length} requests`);
}

/** `agent-exists`, `claim-unknown` */
export async function approveEnrolment(
  site: Site,
  { request, key }: ClaimedEnrolment,
  agent: { readonly name: string; readonly replace: boolean },
  by: By,
): Promise<void> {
  const { id, tlsKey, sealingKey } = request;
  const { keys, store } = site;
  const publicKey = createPublicKey({ key: Buffer.from(tlsKey), format: "der", type: "spki" });
  const certificate = await certifyAgent(keys.agentsAuthority, publicKey, agent.name, by.at);
  const content: EnrolmentContent = {
    kind: "enrolment",
    id,
    name: agent.name,
    certificate,
    cardKey: sealTo(sealingKey, CARD_KEY_PURPOSE, Buffer.from(keys.cardKey, "base64url")),
    manifestKey: rawOf(createPublicKey(keys.manifestKey)).toString("base64url"),
    ...(await policyRoot(store)),
  };
  const bytes = Buffer.from(JSON.stringify(content));
  await store.approveEnrolment(by, {
    ...agent,
    id,
    certificateUntil: new X509Certificate(certificate).validToDate.getTime(),
    content: bytes,
    approvalProof: approvalProof(key, digestOfRequest(site, request), bytes).toString("base64url"),
  });
}

/** The newest root is where a new agent's chain begins; none in a site that is older than policies. */
async function policyRoot(store: Store): Promise<{ policyRoot?: string }> {
  const version = await store.newestRoot();
  const root = await store.root(version);
  return root === undefined ? {} : { policyRoot: anchorOf(root, version) };
}

function digestOfRequest({ keys }: Site, { tlsKey, signingKey, sealingKey }: EnrolmentRow): Buffer {
  return digestOf({ tlsKey, signingKey, sealingKey, ca: keys.authority, keyPins: keys.keyPins });
}
