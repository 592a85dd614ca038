/**
 * Every code that a `Problem` of the central server can hold, with its HTTP status (RFC 9110 15) and whether the
 * same request may succeed later. The agent branches on the code, never on the message.
 */
export const PROBLEMS = {
  "not-an-agent": {
    status: 403,
    retry: false,
    message: "The connection showed no certificate, or none that the server gave to an agent that it knows.",
  },
  "agent-revoked": { status: 403, retry: false, message: "A person took this agent's right to connect away." },
  "agent-cloned": {
    status: 403,
    retry: false,
    message: "Two devices use this agent's key: its storage was copied. Neither is served until a person has decided.",
  },
  "certificate-expired": {
    status: 403,
    retry: false,
    message: "The agent's certificate has ended; it is good for nothing but fetching the next one, for half a year.",
  },
  "boot-missing": {
    status: 400,
    retry: false,
    message: "The request does not say which boot of the agent it is from.",
  },
  "not-found": { status: 404, retry: false, message: "There is nothing at this path." },
  "method-not-allowed": { status: 405, retry: false, message: "This path does not take this method." },
  "body-too-large": { status: 413, retry: false, message: "The request body is larger than the server takes." },
  "body-not-json": { status: 415, retry: false, message: "The request body must be JSON, sent as application/json." },
  "body-invalid": { status: 400, retry: false, message: "The request body does not fit the schema." },
  "tap-id-reused": { status: 409, retry: false, message: "This tap id was used before for another tap." },
  "claim-over": {
    status: 409,
    retry: false,
    message: "This claim is not, or no longer, the agent's, or its lease is over.",
  },
  "document-gone": { status: 410, retry: false, message: "The document of this job is no longer stored." },
  "csr-invalid": {
    status: 400,
    retry: false,
    message: "The certificate request is no PKCS #10 for a P-256 key, or is not signed with that key.",
  },
  "enrolment-changed": {
    status: 409,
    retry: false,
    message: "This key has asked to be enrolled before, in other words; a new attempt takes a new key.",
  },
  "enrolment-over": {
    status: 410,
    retry: false,
    message: "Nobody approved this request within its time; a new attempt takes a new key and a new claim code.",
  },
  "policy-none": { status: 404, retry: false, message: "There is no policy, or no root document of this version." },
  "too-many-requests": { status: 429, retry: true, message: "Too many requests; wait as long as Retry-After says." },
  "internal-error": { status: 500, retry: true, message: "The central server failed; its log has the cause." },
} as const satisfies Readonly<Record<string, { status: number; retry: boolean; message: string }>>;

export type ProblemCode = keyof typeof PROBLEMS;
