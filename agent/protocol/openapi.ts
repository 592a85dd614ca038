import * as z from "zod/mini";
import {
  CertificateAnswer,
  CertificateRequest,
  EnrolmentAnswer,
  EnrolmentContent,
  EnrolmentOffer,
  EnrolmentRequest,
} from "./enrolment.ts";
import { CLAIM_HEADER, paths } from "./paths.ts";
import { Policy, PolicySettings } from "./policy.ts";
import { PROBLEMS, type ProblemCode } from "./problems.ts";
import { Root, RootEnvelope, Version } from "./root.ts";
import {
  AgentClaims,
  AgentSelf,
  Base64Url,
  Credential,
  Envelope,
  JobPassword,
  KeyId,
  LeaseAnswer,
  LeaseRenewal,
  Manifest,
  Name,
  Outcome,
  OutcomeAnswer,
  PersonalId,
  Pin,
  Problem,
  Sha256,
  Signature,
  Tap,
  TapAnswer,
  Ticket,
  TicketPolicy,
  Time,
  Uuid,
  Word,
} from "./schema.ts";

/** The schemas that the description publishes, by the names they have in the code. */
export const PUBLISHED = {
  AgentClaims,
  AgentSelf,
  Base64Url,
  CertificateAnswer,
  CertificateRequest,
  Credential,
  EnrolmentAnswer,
  EnrolmentContent,
  EnrolmentOffer,
  EnrolmentRequest,
  Envelope,
  JobPassword,
  KeyId,
  LeaseAnswer,
  LeaseRenewal,
  Manifest,
  Name,
  Outcome,
  OutcomeAnswer,
  PersonalId,
  Pin,
  Policy,
  PolicySettings,
  Problem,
  Root,
  RootEnvelope,
  Sha256,
  Signature,
  Tap,
  TapAnswer,
  Ticket,
  TicketPolicy,
  Time,
  Uuid,
  Version,
  Word,
} as const;

type SchemaName = keyof typeof PUBLISHED;

const ref = (name: SchemaName) => ({ $ref: `#/components/schemas/${name}` });
const json = (name: SchemaName) => ({ "application/json": { schema: ref(name) } });
const body = (name: SchemaName) => ({ required: true, content: json(name) });
const answer = (description: string, name: SchemaName) => ({ description, content: json(name) });

/** What any request of an agent can be answered with. */
const COMMON: readonly ProblemCode[] = [
  "not-an-agent",
  "agent-revoked",
  "agent-cloned",
  "certificate-expired",
  "boot-missing",
  "not-found",
  "method-not-allowed",
  "too-many-requests",
  "internal-error",
];
/** Where no agent is known yet. */
const ANYBODY: readonly ProblemCode[] = ["method-not-allowed", "too-many-requests", "internal-error"];
const WITH_BODY: readonly ProblemCode[] = [...COMMON, "body-too-large", "body-not-json", "body-invalid"];

/** One response per status; codes that share a status share its description. */
function problems(codes: readonly ProblemCode[]) {
  const byStatus: Record<string, { description: string; content: object; headers?: object }> = {};
  for (const code of codes) {
    const { status, message } = PROBLEMS[code];
    const before = byStatus[status];
    byStatus[status] = {
      description: `${before === undefined ? "" : `${before.description} `}\`${code}\`: ${message}`,
      content: json("Problem"),
      ...(status === 429 ? { headers: { "Retry-After": { schema: { type: "integer", minimum: 1 } } } } : {}),
    };
  }
  return byStatus;
}

const jobId = { name: "jobId", in: "path", required: true, schema: { type: "string", format: "uuid" } };
const claimHeader = {
  name: CLAIM_HEADER,
  in: "header",
  required: true,
  description: "The claim, from the job's manifest, that the document is fetched under.",
  schema: { type: "string", format: "uuid" },
};

const ifNoneMatch = {
  name: "If-None-Match",
  in: "header",
  required: false,
  description: "The entity tag of the policy that the agent has.",
  schema: { type: "string" },
};
const lastEventId = {
  name: "Last-Event-ID",
  in: "header",
  required: false,
  description: "The id of the last event that the agent had; what came after it is sent again.",
  schema: { type: "string" },
};
const rootVersion = {
  name: "version",
  in: "path",
  required: true,
  description: "Roots go step by step, from 1.",
  schema: { type: "integer", minimum: 1 },
};
const ETAG = { ETag: { schema: { type: "string" } } };

/** The OpenAPI 3.1 description of the protocol, generated from the schemas that both sides validate with. */
export function openapi() {
  return {
    openapi: "3.1.1",
    info: {
      title: "Printgate central server",
      version: "1",
      description: "What an agent beside a printer and the central server say to each other.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: "/" }],
    security: [{ agentCertificate: [] }],
    paths: {
      [paths.taps]: {
        post: {
          operationId: "tap",
          summary: "Who is it, what waits, and claim it; repeatable with the same tapId",
          requestBody: body("Tap"),
          responses: {
            200: answer("Accepted with the claimed jobs, refused, or a PIN is needed with the card.", "TapAnswer"),
            ...problems([...WITH_BODY, "tap-id-reused"]),
          },
        },
      },
      [paths.document("{jobId}")]: {
        get: {
          operationId: "document",
          summary: "The document of a job that this agent has claimed",
          parameters: [jobId, claimHeader],
          responses: {
            200: {
              description: "The document's bytes, in order, with their exact length.",
              headers: { "Content-Length": { required: true, schema: { type: "integer", minimum: 1 } } },
              content: { "application/octet-stream": {} },
            },
            ...problems([...COMMON, "claim-over", "document-gone"]),
          },
        },
      },
      [paths.outcome("{jobId}")]: {
        post: {
          operationId: "outcome",
          summary: "What became of a claimed job; repeatable",
          parameters: [jobId],
          requestBody: body("Outcome"),
          responses: { 200: answer("Taken, or superseded.", "OutcomeAnswer"), ...problems(WITH_BODY) },
        },
      },
      [paths.lease("{jobId}")]: {
        post: {
          operationId: "renewLease",
          summary: "Keep a claim while the agent works on it",
          parameters: [jobId],
          requestBody: body("LeaseRenewal"),
          responses: {
            200: answer("The lease counts anew from this answer.", "LeaseAnswer"),
            ...problems([...WITH_BODY, "claim-over"]),
          },
        },
      },
      [paths.self]: {
        get: {
          operationId: "self",
          summary: "Who the central server takes the caller for",
          responses: { 200: answer("The agent.", "AgentSelf"), ...problems(COMMON) },
        },
      },
      [paths.claims]: {
        get: {
          operationId: "claims",
          summary: "The claims of this agent that the central server has no outcome of",
          responses: { 200: answer("Oldest first.", "AgentClaims"), ...problems(COMMON) },
        },
      },
      [paths.enrolment]: {
        get: {
          operationId: "enrolmentOffer",
          summary: "What this server asks a new agent to trust; believed only when a person has compared",
          security: [],
          responses: { 200: answer("CA and key pins.", "EnrolmentOffer"), ...problems(ANYBODY) },
        },
      },
      [paths.enrolments]: {
        post: {
          operationId: "enrol",
          summary: "Ask to be enrolled; repeated unchanged, it tells what became of it",
          security: [],
          requestBody: body("EnrolmentRequest"),
          responses: {
            200: answer(
              "Waits for a person, or approved: then `content` holds an EnrolmentContent.",
              "EnrolmentAnswer",
            ),
            ...problems([
              ...ANYBODY,
              "body-too-large",
              "body-not-json",
              "body-invalid",
              "csr-invalid",
              "enrolment-changed",
              "enrolment-over",
            ]),
          },
        },
      },
      [paths.certificate]: {
        post: {
          operationId: "renewCertificate",
          summary:
            "A new certificate, for the same key or for a new one; the one before stays good until this one was used",
          requestBody: body("CertificateRequest"),
          responses: {
            200: answer("The certificate.", "CertificateAnswer"),
            ...problems([...WITH_BODY, "csr-invalid", "enrolment-changed"]),
          },
        },
      },
      [paths.events]: {
        get: {
          operationId: "events",
          summary: "News, as Server-Sent Events: each says what to ask for anew, and may come twice or not at all",
          parameters: [lastEventId],
          responses: {
            200: {
              description:
                "`policy`: there is another policy; its data names `root` and `version`. `resync`: what came after the Last-Event-ID is no longer known, so ask for everything. Each has an `id`. A comment comes at least every 15 s.",
              content: { "text/event-stream": {} },
            },
            ...problems(COMMON),
          },
        },
      },
      [paths.policy]: {
        get: {
          operationId: "policy",
          summary: "The policy in force, signed by a policy key of the newest root",
          parameters: [ifNoneMatch],
          responses: {
            200: { ...answer("The envelope; its content is a `Policy`.", "Envelope"), headers: ETAG },
            304: { description: "The agent has it already: its entity tag was named.", headers: ETAG },
            ...problems([...COMMON, "policy-none"]),
          },
        },
      },
      [paths.root("{version}")]: {
        get: {
          operationId: "root",
          summary: "One document of the chain of roots",
          parameters: [rootVersion],
          responses: {
            200: answer("The envelope; its content is a `Root`.", "RootEnvelope"),
            ...problems([...COMMON, "policy-none"]),
          },
        },
      },
      [paths.openapi]: {
        get: {
          operationId: "openapi",
          summary: "This description",
          security: [],
          responses: { 200: { description: "OpenAPI 3.1.", content: { "application/json": {} } } },
        },
      },
    },
    components: {
      securitySchemes: {
        agentCertificate: {
          type: "mutualTLS",
          description: "The client certificate that the agent got when it was enrolled, and renews itself.",
        },
      },
      schemas: schemas(),
    },
  };
}

function schemas(): Record<string, object> {
  const registry = z.registry<{ id: string }>();
  for (const [id, schema] of Object.entries(PUBLISHED)) registry.add(schema, { id });
  const generated = z.toJSONSchema(registry, { uri: (id) => `#/components/schemas/${id}`, io: "input" }).schemas;
  // In an OpenAPI document the dialect and the place say what $schema and $id would.
  return Object.fromEntries(
    Object.entries(generated).map(([id, { $schema: _dialect, $id: _place, ...schema }]) => [id, schema]),
  );
}
