import { describe, expect, test } from "vitest";
import * as enrolment from "../../../agent/protocol/enrolment.ts";
import { openapi, PUBLISHED } from "../../../agent/protocol/openapi.ts";
import { CLAIM_HEADER, paths } from "../../../agent/protocol/paths.ts";
import * as policy from "../../../agent/protocol/policy.ts";
import { PROBLEMS } from "../../../agent/protocol/problems.ts";
import * as root from "../../../agent/protocol/root.ts";
import * as protocol from "../../../agent/protocol/schema.ts";

const document = openapi();
const operations = Object.values(document.paths).flatMap((item) => Object.values(item as Record<string, Operation>));

interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly responses: Record<string, { description: string }>;
}

/** All values under `key`, anywhere. */
function* valuesOf(key: string, node: unknown): Generator<unknown> {
  if (typeof node !== "object" || node === null) return;
  for (const [name, value] of Object.entries(node)) {
    if (name === key) yield value;
    yield* valuesOf(key, value);
  }
}

test("it is OpenAPI 3.1 with every path of the protocol", () => {
  expect(document.openapi).toMatch(/^3\.1\.\d+$/);
  expect(document.info).toMatchObject({ title: expect.any(String), version: expect.any(String) });
  const expected = [
    paths.taps,
    paths.document("{jobId}"),
    paths.outcome("{jobId}"),
    paths.lease("{jobId}"),
    paths.self,
    paths.claims,
    paths.certificate,
    paths.enrolment,
    paths.enrolments,
    paths.events,
    paths.policy,
    paths.root("{version}"),
    paths.openapi,
  ];
  expect(Object.keys(document.paths).sort()).toEqual(expected.sort());
  expect(JSON.stringify(document)).toContain(`"name":"${CLAIM_HEADER}"`);
});

test("every operation has its own id, a summary, and a description of each response", () => {
  const ids = operations.map(({ operationId }) => operationId);
  expect(new Set(ids).size).toBe(ids.length);
  for (const { summary, responses } of operations) {
    expect(summary).not.toBe("");
    expect(Object.keys(responses)).toContain("200");
    for (const { description } of Object.values(responses)) expect(description).not.toBe("");
  }
});

test("every schema of the protocol is published, and nothing else", () => {
  const schemas = [protocol, enrolment, policy, root]
    .flatMap((module): unknown[] => Object.values(module))
    .filter((value) => typeof value === "object" && value !== null && "_zod" in value);
  expect(schemas.length).toBeGreaterThan(10);
  const published = Object.values(PUBLISHED) as unknown[];
  for (const schema of schemas) expect(published).toContain(schema);
  expect(Object.keys(document.components.schemas).sort()).toEqual(Object.keys(PUBLISHED).sort());
});

test("every reference leads to a schema, and no schema names a place of its own", () => {
  const refs = [...valuesOf("$ref", document)];
  expect(refs.length).toBeGreaterThan(20);
  for (const ref of refs) {
    expect(Object.keys(document.components.schemas)).toContain(String(ref).replace("#/components/schemas/", ""));
  }
  expect([...valuesOf("$id", document), ...valuesOf("$schema", document)]).toEqual([]);
});

test("every problem code is named by some response", () => {
  const text = JSON.stringify(operations);
  for (const code of Object.keys(PROBLEMS)) expect(text).toContain(`\`${code}\``);
});

test("problem codes fit the schema of a problem", () => {
  for (const [code, { message, status }] of Object.entries(PROBLEMS)) {
    protocol.Problem.parse({ code, message });
    expect(status).toBeGreaterThanOrEqual(400);
  }
});

describe("the published schemas judge as the code does", () => {
  const uuid = "01234567-89ab-cdef-0123-456789abcdef";
  const at = "2026-01-01T00:00:00.000Z";
  const token = "a".repeat(64);
  const envelope = { keyId: "0".repeat(16), payload: "YQ", signature: "A".repeat(86) };
  const samples: readonly (readonly [keyof typeof PUBLISHED, boolean, unknown])[] = [
    ["Tap", true, { tapId: uuid, at, reader: "r", printer: "p", credential: { kind: "card", token } }],
    ["Tap", false, { tapId: uuid, at, reader: "r", printer: "p", credential: { kind: "card", token: "x" } }],
    ["Credential", true, { kind: "card-pin", token, pin: "0123" }],
    ["Credential", true, { kind: "id-pin", id: "7", pin: "1234567890123456" }],
    ["Credential", false, { kind: "card", token, pin: "1234" }],
    ["Credential", false, { kind: "card-pin", token }],
    ["Credential", false, { kind: "card-pin", token, pin: "123" }],
    ["Credential", false, { kind: "card-pin", token, pin: "12345678901234567" }],
    ["Credential", false, { kind: "card-pin", token, pin: "12a4" }],
    ["Credential", false, { kind: "card-pin", token, pin: "1234\n" }],
    ["Credential", false, { kind: "card-pin", token, pin: 1234 }],
    ["Credential", false, { kind: "id-pin", id: "", pin: "1234" }],
    ["Credential", false, { kind: "id-pin", id: "12345678901234567", pin: "1234" }],
    ["Credential", false, { kind: "pin", pin: "1234" }],
    ["TapAnswer", true, { result: "refused", tapId: uuid, serverTime: at }],
    ["TapAnswer", true, { result: "pin-needed", tapId: uuid, serverTime: at }],
    ["TapAnswer", false, { result: "pin-needed", tapId: uuid, serverTime: at, jobs: [] }],
    [
      "TapAnswer",
      true,
      { result: "accepted", tapId: uuid, displayName: "A", jobs: [envelope], leaseMs: 1000, serverTime: at },
    ],
    [
      "TapAnswer",
      false,
      { result: "accepted", tapId: uuid, displayName: "A", jobs: [{}], leaseMs: 1000, serverTime: at },
    ],
    [
      "TapAnswer",
      true,
      {
        ...{ result: "accepted", tapId: uuid, displayName: "A", jobs: [envelope], leaseMs: 1000, serverTime: at },
        jobPasswords: [{ claimId: uuid, password: "1234" }],
      },
    ],
    ["JobPassword", false, ""],
    ["JobPassword", false, "12\n34"],
    ["Ticket", true, {}],
    [
      "Ticket",
      true,
      {
        ...{ copies: 2, sides: "two-sided-long-edge", finishings: [4, 2_000_000], "print-quality": 5 },
        "media-col": { "media-size": { "x-dimension": 21_000, "y-dimension": 29_700 }, "media-source": "tray-1" },
        "page-ranges": [{ lower: 1, upper: 3 }],
        ...{ "job-password": true, unsupported: "drop" },
      },
    ],
    ["Ticket", false, { copies: 0 }],
    ["Ticket", false, { sides: "both" }],
    ["Ticket", false, { media: "A4 paper" }],
    ["Ticket", false, { finishings: [] }],
    ["Ticket", false, { "job-password": "1234" }],
    ["Ticket", false, { unsupported: "guess" }],
    ["Ticket", false, { "job-priority": 100 }],
    ["Outcome", true, { claimId: uuid, word: "not printed", state: "ABORTED", reason: "none", at, sheets: 2 }],
    ["Outcome", false, { claimId: uuid, word: "perhaps", state: "ABORTED", reason: "none", at }],
    ["LeaseAnswer", false, { claimId: uuid, leaseMs: 1 }],
    ["AgentSelf", true, { name: "lobby", serverTime: at }],
    ["AgentSelf", false, { name: "lobby", serverTime: at, more: 1 }],
    ["Problem", false, { code: "No Code", message: "" }],
  ];

  test.each(samples)("%s %s", (name, valid, sample) => {
    expect(PUBLISHED[name].safeParse(sample).success).toBe(valid);
    expect(fits(sample, document.components.schemas[name])).toBe(valid);
  });
});

/** The part of JSON Schema 2020-12 that the description uses; an unknown keyword is a failure. */
function fits(value: unknown, schema: unknown): boolean {
  return Object.entries(schema as Record<string, unknown>).every(([keyword, rule]) => {
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    switch (keyword) {
      case "$ref":
        return fits(value, document.components.schemas[String(rule).replace("#/components/schemas/", "")]);
      case "type":
        if (rule === "integer") return Number.isInteger(value);
        if (rule === "array") return Array.isArray(value);
        return rule === "object" ? isObject : typeof value === rule;
      case "const":
        return value === rule;
      case "enum":
        return (rule as unknown[]).includes(value);
      case "oneOf":
        return (rule as unknown[]).filter((one) => fits(value, one)).length === 1;
      case "pattern":
        return new RegExp(String(rule)).test(String(value));
      case "minLength":
        return String(value).length >= Number(rule);
      case "maxLength":
        return String(value).length <= Number(rule);
      case "minimum":
        return Number(value) >= Number(rule);
      case "maximum":
        return Number(value) <= Number(rule);
      case "minItems":
        return (value as unknown[]).length >= Number(rule);
      case "maxItems":
        return (value as unknown[]).length <= Number(rule);
      case "items":
        return (value as unknown[]).every((item) => fits(item, rule));
      case "required":
        return isObject && (rule as string[]).every((key) => Object.hasOwn(value, key));
      case "properties":
        return (
          isObject &&
          Object.entries(rule as object).every(([key, sub]) => !(key in value) || fits(value[key as never], sub))
        );
      case "additionalProperties": {
        const known = Object.keys((schema as { properties: object }).properties);
        return rule === false && isObject && Object.keys(value).every((key) => known.includes(key));
      }
      default:
        throw new Error(`the test does not know ${keyword}`);
    }
  });
}
