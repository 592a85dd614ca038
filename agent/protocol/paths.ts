/** The paths of the protocol, in one place. */
export const paths = {
  taps: "/v1/taps",
  document: (jobId: string) => `/v1/jobs/${jobId}/document`,
  outcome: (jobId: string) => `/v1/jobs/${jobId}/outcome`,
  lease: (jobId: string) => `/v1/jobs/${jobId}/lease`,
  self: "/v1/agents/self",
  claims: "/v1/agents/self/claims",
  /** What the server offers to be trusted by; it and the next need no certificate. */
  enrolment: "/v1/enrolment",
  enrolments: "/v1/enrolments",
  certificate: "/v1/agents/self/certificate",
  events: "/v1/agents/self/events",
  policy: "/v1/policy",
  root: (version: number | string) => `/v1/root/${version}`,
  openapi: "/v1/openapi.json",
} as const;

/** The claim that a document is fetched under; the server checks it beside the certificate. */
export const CLAIM_HEADER = "printgate-claim";

/** Which boot of the device speaks: 32 hex digits, the same until it boots again, made so that nobody can guess them. */
export const BOOT_HEADER = "printgate-boot";
