import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { systemClock } from "../../drivers/clock.ts";
import type { JobTicket } from "../../drivers/job-ticket.ts";
import { silentLog } from "../../drivers/log.ts";
import type { DocumentBody, JobRequest } from "../../drivers/printer.ts";
import { integer, operationGroup, uri, valuesOf } from "../../drivers/printers/ipp/attributes.ts";
import { IppClient } from "../../drivers/printers/ipp/client.ts";
import { IppPrinter } from "../../drivers/printers/ipp/printer.ts";
import { GROUP, OPERATION, STATUS } from "../../drivers/printers/ipp/tags.ts";
import { type EvePrinter, startEvePrinter } from "./ippeveprinter.ts";

const run = promisify(execFile);
const never = new AbortController().signal;
const document: DocumentBody = {
  size: 8,
  async *chunks() {
    yield Buffer.from("%PDF-1.7");
  },
};
const TICKET: JobTicket = {
  ...{ copies: 2, sides: "two-sided-long-edge", "print-color-mode": "monochrome", "print-quality": 5 },
  "media-col": { "media-size": { "x-dimension": 21_000, "y-dimension": 29_700 }, "media-source": "main" },
  ...{ "orientation-requested": 4, "page-ranges": [{ lower: 1, upper: 3 }] },
};

let eve: EvePrinter;
let printer: IppPrinter;
let client: IppClient;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "printgate-ticket-"));
  eve = await startEvePrinter({ args: ["-2"] });
  printer = new IppPrinter({ name: "Eve", uri: eve.uri, keyPins: [], clock: systemClock, log: silentLog });
  client = new IppClient({ uri: eve.uri, keyPins: [], clock: systemClock, count: () => {} });
});
afterAll(async () => {
  await client.close();
  await printer.stop();
  await eve.stop();
  await rm(folder, { recursive: true });
});

const requestOf = (name: string, ticket: JobTicket): JobRequest => ({
  ...{ name, user: "alice", format: "application/pdf" },
  ticket,
});

/** What the printer says the job is printed by. */
async function jobAttributes(id: number) {
  const group = operationGroup(uri("printer-uri", eve.uri), integer("job-id", id));
  const reply = await client.call(OPERATION.getJobAttributes, [group], true, never);
  expect(reply.code).toBe(STATUS.ok);
  return reply.groups.find(({ tag }) => tag === GROUP.job);
}

test("ippeveprinter takes the ticket, and says the same of the job", async () => {
  const request = requestOf("rel-ticket", TICKET);
  const job = await printer.createJob(request, never);
  if (job === undefined) throw new Error("no Create-Job");
  await printer.send(job, request, document, never);
  const group = await jobAttributes(job.id);
  const first = (name: string) => valuesOf(group, name)[0]?.value;
  expect(first("copies")).toBe(2);
  expect(first("sides")).toBe("two-sided-long-edge");
  expect(first("print-color-mode")).toBe("monochrome");
  expect(first("print-quality")).toBe(5);
  expect(first("orientation-requested")).toBe(4);
  expect(first("page-ranges")).toEqual({ lower: 1, upper: 3 });
  expect(JSON.stringify(first("media-col"))).toContain('"name":"x-dimension","values":[{"tag":33,"value":21000}]');
  await expect.poll(async () => (await printer.jobStatus(job, never))?.state).toBe("completed");
});

test("ippeveprinter takes the ticket by Print-Job, too", async () => {
  const job = await printer.send(undefined, requestOf("rel-print", TICKET), document, never);
  expect(valuesOf(await jobAttributes(job.id), "copies")[0]?.value).toBe(2);
  await expect.poll(async () => (await printer.jobStatus(job, never))?.state).toBe("completed");
});

/** What the printer says to job attributes that ipptool sends as they are, all or nothing. */
async function wordOn(jobAttribute: string): Promise<string | undefined> {
  const file = join(folder, "validate.test");
  await writeFile(
    file,
    `{ OPERATION Validate-Job GROUP operation-attributes-tag
       ATTR charset attributes-charset utf-8 ATTR naturalLanguage attributes-natural-language en
       ATTR uri printer-uri $uri ATTR boolean ipp-attribute-fidelity true
       GROUP job-attributes-tag ATTR ${jobAttribute} }`,
  );
  const { stdout } = await run("ipptool", ["-tv", eve.uri, file]);
  return /status-code = (\S+)/.exec(stdout)?.[1];
}

test("what ippeveprinter does not list is not sent: it would take some of it, and print without", async () => {
  expect(await wordOn("integer copies 5000")).toBe("client-error-attributes-or-values-not-supported");
  expect(await wordOn("enum finishings 4")).toBe("successful-ok");
  for (const [ticket, detail] of [
    [{ copies: 5000 }, "copies 5000"],
    [{ finishings: [4] }, "finishings staple"],
  ] as const) {
    const asked = printer.createJob(requestOf("rel-staple", ticket), never);
    await expect(asked).rejects.toMatchObject({ code: "printer-ticket-unsupported", detail });
  }
});

test("what may be dropped is, and the job prints", async () => {
  const request = requestOf("rel-drop", { copies: 2, finishings: [4], unsupported: "drop" });
  const job = await printer.createJob(request, never);
  if (job === undefined) throw new Error("no Create-Job");
  await printer.send(job, request, document, never);
  const group = await jobAttributes(job.id);
  expect(valuesOf(group, "copies")[0]?.value).toBe(2);
  expect(valuesOf(group, "finishings")).toEqual([]);
  await expect.poll(async () => (await printer.jobStatus(job, never))?.state).toBe("completed");
});

test("ippeveprinter has no job-password, so a job that has one is not sent", async () => {
  const asked = printer.createJob(requestOf("rel-secret", { "job-password": "1234", unsupported: "drop" }), never);
  await expect(asked).rejects.toMatchObject({ detail: "job-password (the printer has none)" });
});
