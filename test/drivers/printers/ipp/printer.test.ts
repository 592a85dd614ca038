import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../../../drivers/clock.ts";
import { silentLog } from "../../../../drivers/log.ts";
import type { DocumentBody, JobRequest } from "../../../../drivers/printer.ts";
import { PrinterError } from "../../../../drivers/printer.ts";
import {
  attribute,
  boolean,
  enumeration,
  integer,
  mediaType,
  numbersOf,
  operationGroup,
  stringsOf,
  text,
  uri,
  valuesOf,
} from "../../../../drivers/printers/ipp/attributes.ts";
import { decode, encode } from "../../../../drivers/printers/ipp/codec.ts";
import type { IppAttribute, IppGroup, IppMessage } from "../../../../drivers/printers/ipp/message.ts";
import { IppPrinter, type IppPrinterOptions } from "../../../../drivers/printers/ipp/printer.ts";
import { GROUP, OPERATION, STATUS, TAG } from "../../../../drivers/printers/ipp/tags.ts";
import { TICKET_ATTRIBUTES } from "../../../../drivers/printers/ipp/ticket.ts";
import { Authority } from "../../../sim/authority.ts";
import { FakeClock } from "../../../sim/clock.ts";
import { answer, HostileServer } from "../../../sim/tls-server.ts";
import { CAPABLE, IDLE, job, printerGroup, type Reply, ScriptedPrinter } from "./scripted-printer.ts";

const never = new AbortController().signal;
const request: JobRequest = { name: "rel-1", user: "alice", format: "application/pdf" };
const ours = { id: 7, name: "rel-1", user: "alice" };

let wire: ScriptedPrinter;
let clock: FakeClock;
let printer: IppPrinter;

function newPrinter(options: Partial<IppPrinterOptions> = {}): IppPrinter {
  return new IppPrinter({ name: "Hall", uri: wire.uri, keyPins: [], clock, log: silentLog, ...options });
}

beforeEach(async () => {
  wire = await ScriptedPrinter.start();
  clock = new FakeClock();
  printer = newPrinter();
});

afterEach(async () => {
  await printer.stop();
  await wire[Symbol.asyncDispose]();
});

function documentOf(text: string): DocumentBody {
  return {
    size: Buffer.byteLength(text),
    async *chunks() {
      yield Buffer.from(text);
    },
  };
}

/** The operation of an exchange, which `answer` then answers too. */
async function peek(message: () => Promise<IppMessage>): Promise<number> {
  return (await message()).code;
}
async function until(done: () => boolean): Promise<void> {
  while (!done()) await new Promise((resolve) => setImmediate(resolve));
}
const operations = () => wire.requests.map((message) => message.code);
const names = (message: IppMessage | undefined) => message?.groups[0]?.attributes.map(({ name }) => name);
const failure = (code: string, nothingSent = false) => expect.objectContaining({ code, nothingSent });

describe("state", () => {
  test("asks by name, and says what it heard", async () => {
    expect(await printer.state(never)).toEqual({ state: "idle", accepting: true, reasons: [], blocking: [] });
    expect(stringsOf(wire.requests[0]?.groups[0], "requested-attributes")).toEqual([
      "printer-state",
      "printer-state-reasons",
      "printer-is-accepting-jobs",
      "queued-job-count",
      "printer-up-time",
      "printer-current-time",
      "operations-supported",
      "document-format-supported",
      "ipp-versions-supported",
      "printer-make-and-model",
      ...TICKET_ATTRIBUTES,
    ]);
    expect(stringsOf(wire.requests[0]?.groups[0], "requesting-user-name")).toEqual(["printgate"]);
  });

  test("a printer that lists only 1.1 is spoken to in 1.1", async () => {
    wire.answers[OPERATION.getPrinterAttributes] = { groups: [printerGroup(...IDLE)] };
    await printer.state(never);
    await printer.state(never);
    expect(wire.requests.map((message) => message.version)).toEqual([0x0200, 0x0200]);
    const [old] = [{ name: "ipp-versions-supported", values: [{ tag: 0x44, value: "1.1" }] }];
    wire.answers[OPERATION.getPrinterAttributes] = { groups: [printerGroup(...IDLE, old)] };
    await printer.state(never);
    await printer.state(never);
    expect(wire.requests.at(-1)?.version).toBe(0x0101);
  });

  test("a refusal is counted under its code", async () => {
    wire.answers[OPERATION.getPrinterAttributes] = { code: STATUS.serviceUnavailable };
    await expect(printer.state(never)).rejects.toEqual(failure("printer-unavailable"));
    expect(printer.counters).toEqual({ requests: 1, documents: 0, bytes: 0, "printer-unavailable": 1 });
  });
});

/** A printer of this model that also lists Validate-Job. */
function validating(makeAndModel = "Virtual 1000"): void {
  const { validateJob, printJob, createJob, sendDocument } = OPERATION;
  const [, ...others] = CAPABLE;
  wire.answers[OPERATION.getPrinterAttributes] = {
    groups: [
      printerGroup(
        ...IDLE,
        enumeration("operations-supported", validateJob, printJob, createJob, sendDocument),
        ...others,
        text("printer-make-and-model", makeAndModel),
      ),
    ],
  };
  wire.answers[validateJob] = {};
}
const quirks = () => printer.quirks.map(({ name, from }) => `${name} (${from})`);
const asked = (operation: number) => operations().filter((code) => code === operation).length;

describe("validate", () => {
  beforeEach(() => validating());

  test("asks with the format, in the person's name", async () => {
    await printer.validate(request, never);
    const sent = wire.requests.at(-1);
    expect(sent?.code).toBe(OPERATION.validateJob);
    expect(names(sent)?.slice(2)).toEqual(["printer-uri", "requesting-user-name", "job-name", "document-format"]);
    expect(stringsOf(sent?.groups[0], "requesting-user-name")).toEqual(["alice"]);
  });

  test("what was validated minutes ago costs nothing, whoever's job it is", async () => {
    await printer.validate(request, never);
    wire.requests.length = 0;
    await printer.validate({ ...request, name: "rel-2", user: "bob" }, never);
    expect(operations()).toEqual([]);
    await printer.validate({ ...request, format: "text/plain" }, never);
    expect(operations()).toEqual([OPERATION.validateJob]);
    clock.advance(600_000);
    await printer.validate(request, never);
    expect(asked(OPERATION.validateJob)).toBe(2);
  });

  test("is not asked of a printer that does not list it, or lists it and has it not", async () => {
    wire.answers[OPERATION.validateJob] = { code: STATUS.operationNotSupported };
    await printer.validate(request, never);
    await printer.validate({ ...request, format: "text/plain" }, never);
    expect(asked(OPERATION.validateJob)).toBe(1);
    wire.answers[OPERATION.getPrinterAttributes] = { groups: [printerGroup(...IDLE, ...CAPABLE)] };
    const other = newPrinter();
    await other.validate(request, never);
    await other.stop();
    expect(asked(OPERATION.validateJob)).toBe(1);
    expect(quirks()).toEqual([]);
  });

  test.each([
    [STATUS.documentFormatNotSupported, "printer-format-unsupported"],
    [STATUS.attributesNotSupported, "printer-ticket-unsupported"],
    [STATUS.conflictingAttributes, "printer-ticket-unsupported"],
    [STATUS.accountLimitReached, "printer-account-refused"],
    [STATUS.notAcceptingJobs, "printer-not-accepting"],
    [STATUS.busy, "printer-busy"],
  ])("status %i is %s, and is asked anew", async (status, code) => {
    wire.answers[OPERATION.validateJob] = { code: status };
    await expect(printer.validate(request, never)).rejects.toEqual(failure(code));
    wire.answers[OPERATION.validateJob] = {};
    await printer.validate(request, never);
    expect(asked(OPERATION.validateJob)).toBe(2);
  });

  test.each([STATUS.notPossible, STATUS.internalError, STATUS.deviceError])(
    "status %i, which gives no reason that we know, is left to Create-Job",
    async (code) => {
      wire.answers[OPERATION.validateJob] = { code };
      await printer.validate(request, never);
      expect(printer.counters["validate-refused"]).toBe(1);
      expect(await printer.createJob(request, never)).toMatchObject(ours);
    },
  );

  test("a printer that hangs at it is asked no more, and makes the job", async () => {
    wire.script = async ({ message, answer }) => {
      if ((await peek(message)) !== OPERATION.validateJob) await answer();
    };
    const validated = printer.validate(request, never);
    await until(() => asked(OPERATION.validateJob) === 1);
    clock.advance(3000);
    await validated;
    expect(quirks()).toEqual(["no-validate-job (met)"]);
    expect(await printer.createJob(request, never)).toMatchObject(ours);
    await printer.validate({ ...request, format: "text/plain" }, never);
    expect(asked(OPERATION.validateJob)).toBe(1);
  });

  test("so is one that hangs at what comes after it", async () => {
    wire.script = async ({ message, answer }) => {
      if ((await peek(message)) !== OPERATION.createJob) await answer();
    };
    await printer.validate(request, never);
    const made = expect(printer.createJob(request, never)).rejects.toEqual(failure("printer-timeout"));
    await until(() => asked(OPERATION.createJob) === 1);
    clock.advance(10_000);
    await made;
    expect(quirks()).toEqual(["no-validate-job (met)"]);
  });

  test("the caller's own end is no quirk of the printer", async () => {
    const stop = new AbortController();
    wire.script = async ({ message, answer }) => {
      if ((await peek(message)) !== OPERATION.validateJob) await answer();
      else stop.abort();
    };
    await expect(printer.validate(request, stop.signal)).rejects.toEqual(failure("printer-broken-connection"));
    expect(quirks()).toEqual([]);
    expect(clock.pending).toBe(0);
  });
});

describe("quirks", () => {
  test("of the model apply once it is known, and are counted", async () => {
    validating("Lexmark T620");
    expect(quirks()).toEqual([]);
    await printer.state(never);
    expect(quirks()).toEqual(["content-length (model)"]);
    expect(printer.counters["quirk-content-length"]).toBe(1);
    await printer.send(ours, request, documentOf("%PDF"), never);
    expect(wire.headers.at(-1)).toMatchObject({ "content-length": expect.any(String) });
  });

  test("named by the operator: no Create-Job, no Validate-Job, IPP 1.1", async () => {
    validating();
    printer = newPrinter({ quirks: ["no-create-job", "no-validate-job", "ipp-1.1"] });
    await printer.validate(request, never);
    expect(await printer.createJob(request, never)).toBeUndefined();
    expect(operations()).toEqual([OPERATION.getPrinterAttributes]);
    expect(wire.requests[0]?.version).toBe(0x0101);
  });

  test.each([
    ["refuses IPP 2.0 as a bad request", { code: STATUS.badRequest }],
    ["answers IPP 2.0 with nothing in it", { groups: [] }],
  ])("one that %s is spoken to in 1.1", async (_what, reply) => {
    validating();
    const good = wire.answers[OPERATION.getPrinterAttributes] as Reply;
    wire.answers[OPERATION.getPrinterAttributes] = ({ version }) => (version === 0x0200 ? reply : good);
    expect(await printer.state(never)).toMatchObject({ state: "idle" });
    expect(quirks()).toEqual(["ipp-1.1 (met)"]);
    await printer.state(never);
    expect(wire.requests.map(({ version }) => version)).toEqual([0x0200, 0x0101, 0x0101]);
  });

  test.each([
    [STATUS.badRequest, OPERATION.validateJob],
    [STATUS.internalError, OPERATION.validateJob],
    [STATUS.badRequest, OPERATION.createJob],
  ])("status %i to a name that is not plain: operation %i goes again with a plain one", async (code, operation) => {
    validating();
    const good = wire.answers[operation] as Reply;
    wire.answers[operation] = ({ groups }) =>
      stringsOf(groups[0], "requesting-user-name")[0] === "SCHOOL\\alice" ? { code } : good;
    const odd = { ...request, user: "SCHOOL\\alice" };
    if (operation === OPERATION.validateJob) await printer.validate(odd, never);
    expect(await printer.createJob(odd, never)).toMatchObject({ id: 7, user: odd.user });
    expect(quirks()).toEqual(["plain-user-names (met)"]);
    expect(stringsOf(wire.requests.at(-1)?.groups[0], "requesting-user-name")).toEqual(["SCHOOL_alice"]);
    await printer.jobStatus({ ...ours, user: odd.user }, never);
    expect(stringsOf(wire.requests.at(-1)?.groups[0], "requesting-user-name")).toEqual(["SCHOOL_alice"]);
  });

  test("Create-Job is not repeated after an internal error: there may be a job", async () => {
    wire.answers[OPERATION.createJob] = { code: STATUS.internalError };
    await expect(printer.createJob({ ...request, user: "Jürgen" }, never)).rejects.toEqual(
      failure("printer-unavailable"),
    );
    expect(asked(OPERATION.createJob)).toBe(1);
  });

  test("a refusal of a plain name has another reason", async () => {
    wire.answers[OPERATION.createJob] = { code: STATUS.badRequest };
    await expect(printer.createJob(request, never)).rejects.toEqual(failure("printer-refused"));
    expect(asked(OPERATION.createJob)).toBe(1);
    expect(quirks()).toEqual([]);
  });

  test("one that wants a length gets it with the next document", async () => {
    wire.script = async ({ req, res, message, answer }) => {
      if (req.headers["content-length"] !== undefined || (await peek(message)) !== OPERATION.sendDocument)
        await answer();
      else res.writeHead(411).end();
    };
    await expect(printer.send(ours, request, documentOf("%PDF"), never)).rejects.toEqual(failure("printer-http-error"));
    expect(quirks()).toEqual(["content-length (met)"]);
    expect(await printer.send(ours, request, documentOf("%PDF"), never)).toMatchObject({ id: 7 });
  });

  test("one that twice does not know the job it made gets no Create-Job any more", async () => {
    wire.answers[OPERATION.sendDocument] = { code: STATUS.notFound };
    for (let n = 0; n < 2; n++) {
      expect(quirks()).toEqual([]);
      await expect(printer.send(ours, request, documentOf("%PDF"), never)).rejects.toEqual(
        failure("printer-job-unknown"),
      );
    }
    expect(quirks()).toEqual(["no-create-job (met)"]);
    expect(await printer.createJob(request, never)).toBeUndefined();
  });
});

describe("a printer that hides names", () => {
  const anonymous = (...more: IppAttribute[]): IppGroup => ({
    tag: GROUP.job,
    attributes: [integer("job-id", 7), enumeration("job-state", 5), ...more],
  });

  test("knows a job by when it was made, from Create-Job on", async () => {
    wire.answers[OPERATION.getPrinterAttributes] = {
      groups: [printerGroup(...IDLE, ...CAPABLE, integer("printer-up-time", 100))],
    };
    await printer.state(never);
    clock.advance(2000);
    const job = await printer.createJob(request, never);
    expect(job).toMatchObject({ created: { upTime: 102 } });
    clock.advance(60_000);
    wire.answers[OPERATION.getJobAttributes] = {
      groups: [anonymous(integer("time-at-creation", 102), integer("job-printer-up-time", 162))],
    };
    if (job === undefined) throw new Error("no job");
    expect(await printer.jobStatus(job, never)).toMatchObject({
      name: "rel-1",
      state: "processing",
      created: job.created,
    });
    // Switched off and on since: the same id and second are another person's.
    clock.advance(600_000);
    expect(await printer.jobStatus(job, never)).toBeUndefined();
    await printer.cancelJob(job, never);
    expect(asked(OPERATION.cancelJob)).toBe(0);
  });

  test("that tells nothing else either: the job is not taken for ours, nor canceled, and that is counted", async () => {
    wire.answers[OPERATION.getJobAttributes] = { groups: [anonymous()] };
    expect(await printer.jobStatus(ours, never)).toBeUndefined();
    await printer.cancelJob(ours, never);
    expect(asked(OPERATION.cancelJob)).toBe(0);
    expect(printer.counters["job-unproven"]).toBe(2);
  });
});

describe("createJob", () => {
  test("asks the capabilities only when they are older than 5 minutes", async () => {
    expect(await printer.createJob(request, never)).toEqual(ours);
    await printer.createJob(request, never);
    expect(operations()).toEqual([OPERATION.getPrinterAttributes, OPERATION.createJob, OPERATION.createJob]);
    clock.advance(300_000);
    await printer.createJob(request, never);
    expect(operations().slice(3)).toEqual([OPERATION.getPrinterAttributes, OPERATION.createJob]);
  });

  test("names job and person, in the order of RFC 8011, and neither format nor compression", async () => {
    await printer.createJob(request, never);
    expect(names(wire.requests[1])).toEqual([
      "attributes-charset",
      "attributes-natural-language",
      "printer-uri",
      "requesting-user-name",
      "job-name",
    ]);
    expect(stringsOf(wire.requests[1]?.groups[0], "job-name")).toEqual(["rel-1"]);
  });

  test("keeps the uuid that the printer gives the job", async () => {
    wire.answers[OPERATION.createJob] = { groups: [job(7, "x", 3, uri("job-uuid", "urn:uuid:1"))] };
    expect(await printer.createJob(request, never)).toEqual({ ...ours, uuid: "urn:uuid:1" });
  });

  test("cuts a name of a person that is too long between two characters", async () => {
    await printer.createJob({ ...request, user: "ü".repeat(200) }, never);
    expect(stringsOf(wire.requests[1]?.groups[0], "requesting-user-name")).toEqual(["ü".repeat(127)]);
  });

  test("leaves it to Print-Job where one of the two operations is missing", async () => {
    const only = enumeration("operations-supported", OPERATION.printJob, OPERATION.createJob);
    const format = mediaType("document-format-supported", "application/pdf");
    wire.answers[OPERATION.getPrinterAttributes] = { groups: [printerGroup(...IDLE, only, format)] };
    expect(await printer.createJob(request, never)).toBeUndefined();
    expect(operations()).toEqual([OPERATION.getPrinterAttributes]);
  });

  test("leaves it to Print-Job where the printer does not have what it lists", async () => {
    wire.answers[OPERATION.createJob] = { code: STATUS.operationNotSupported };
    expect(await printer.createJob(request, never)).toBeUndefined();
    expect(await printer.createJob(request, never)).toBeUndefined();
    expect(operations().filter((code) => code === OPERATION.createJob)).toHaveLength(1);
  });

  test("refuses a format that the printer cannot take, before anything is made", async () => {
    const [create] = CAPABLE;
    const only = mediaType("document-format-supported", "image/urf");
    wire.answers[OPERATION.getPrinterAttributes] = { groups: [printerGroup(...IDLE, create, only)] };
    await expect(printer.createJob(request, never)).rejects.toEqual(failure("printer-format-unsupported", true));
    await expect(printer.send(undefined, request, documentOf("x"), never)).rejects.toEqual(
      failure("printer-format-unsupported", true),
    );
    expect(operations()).toEqual([OPERATION.getPrinterAttributes]);
  });

  test.each([
    [STATUS.busy, "printer-busy"],
    [STATUS.notAcceptingJobs, "printer-not-accepting"],
    [STATUS.badRequest, "printer-refused"],
  ])("status %i is %s", async (status, code) => {
    wire.answers[OPERATION.createJob] = { code: status };
    await expect(printer.createJob(request, never)).rejects.toEqual(failure(code));
  });

  test("without a job-id is a bad reply", async () => {
    wire.answers[OPERATION.createJob] = {};
    await expect(printer.createJob(request, never)).rejects.toEqual(failure("printer-bad-reply"));
  });
});

describe("send", () => {
  test("Send-Document: the job's id, the format, and that it is the last", async () => {
    const status = await printer.send(ours, request, documentOf("%PDF"), never);
    expect(status).toEqual({ ...ours, state: "processing", reasons: [] });
    const sent = wire.requests[1];
    expect(sent?.code).toBe(OPERATION.sendDocument);
    expect(names(sent)?.slice(2)).toEqual([
      "printer-uri",
      "job-id",
      "requesting-user-name",
      "document-format",
      "last-document",
    ]);
    expect(numbersOf(sent?.groups[0], "job-id")).toEqual([7]);
    expect(valuesOf(sent?.groups[0], "last-document")).toEqual(boolean("x", true).values);
    expect(Buffer.from(sent?.data ?? []).toString()).toBe("%PDF");
    expect(printer.counters).toEqual({ requests: 2, documents: 1, bytes: 4 });
  });

  test("Print-Job: the job's name, and its id from the reply", async () => {
    expect(await printer.send(undefined, request, documentOf("%PDF"), never)).toMatchObject({ id: 8, name: "rel-1" });
    expect(names(wire.requests[1])?.slice(2)).toEqual([
      "printer-uri",
      "requesting-user-name",
      "job-name",
      "document-format",
    ]);
  });

  test("announces octet-stream for a format that the printer does not list", async () => {
    await printer.send(ours, { ...request, format: "text/plain" }, documentOf("x"), never);
    expect(stringsOf(wire.requests[1]?.groups[0], "document-format")).toEqual(["application/octet-stream"]);
  });

  test("a refusal after the document leaves the outcome open", async () => {
    wire.answers[OPERATION.sendDocument] = { code: STATUS.busy };
    await expect(printer.send(ours, request, documentOf("x"), never)).rejects.toEqual(failure("printer-busy"));
  });

  test("where the capabilities cannot be asked, nothing was sent", async () => {
    wire.answers[OPERATION.getPrinterAttributes] = { code: STATUS.deviceError };
    await expect(printer.send(ours, request, documentOf("x"), never)).rejects.toEqual(
      failure("printer-unavailable", true),
    );
  });

  test("an error of the document's source comes back as it is", async () => {
    const broken: DocumentBody = {
      size: 3,
      // biome-ignore lint/correctness/useYield: it fails before the first chunk
      async *chunks() {
        throw new RangeError("the spool broke");
      },
    };
    await expect(printer.send(ours, request, broken, never)).rejects.toThrow(RangeError);
    expect(printer.counters["internal-error"]).toBe(1);
  });
});

describe("jobStatus", () => {
  const answer = (...args: Parameters<typeof job>) => {
    wire.answers[OPERATION.getJobAttributes] = { groups: [job(...args)] };
  };

  test("is the job's, if id and name are ours", async () => {
    answer(7, "rel-1", 9);
    expect(await printer.jobStatus(ours, never)).toEqual({ ...ours, state: "completed", reasons: [] });
  });

  test.each<[string, Parameters<typeof job>]>([
    ["another name under our id", [7, "payroll", 9]],
    ["another id", [8, "rel-1", 9]],
    ["another uuid", [7, "rel-1", 9, uri("job-uuid", "urn:uuid:2")]],
  ])("%s is not our job", async (_name, args) => {
    answer(...args);
    expect(await printer.jobStatus({ ...ours, uuid: "urn:uuid:1" }, never)).toBeUndefined();
  });

  test.each([STATUS.notFound, STATUS.gone])("status %i is an unknown job", async (code) => {
    wire.answers[OPERATION.getJobAttributes] = { code };
    expect(await printer.jobStatus(ours, never)).toBeUndefined();
  });

  test("is asked in the name of the job's owner", async () => {
    await printer.jobStatus(ours, never);
    expect(stringsOf(wire.requests.at(-1)?.groups[0], "requesting-user-name")).toEqual(["alice"]);
  });
});

describe("a count of 0 impressions", () => {
  const counted = (impressions: number) => () => ({
    groups: [
      {
        ...job(7, "rel-1", 8),
        attributes: [...job(7, "rel-1", 8).attributes, integer("job-impressions-completed", impressions)],
      },
    ],
  });

  test("says nothing from a printer that was never seen to count", async () => {
    wire.answers[OPERATION.getJobAttributes] = counted(0);
    expect(await printer.jobStatus(ours, never)).not.toHaveProperty("impressions");
  });

  test("says that nothing came out from one that has counted before", async () => {
    wire.answers[OPERATION.getJobAttributes] = counted(3);
    expect(await printer.jobStatus(ours, never)).toMatchObject({ impressions: 3 });
    wire.answers[OPERATION.getJobAttributes] = counted(0);
    expect(await printer.jobStatus(ours, never)).toMatchObject({ impressions: 0 });
  });
});

describe("a 0 of a job that was aborted", () => {
  const count = (n: number, impressions: number, state: number) => {
    const group = job(n, `rel-${n}`, state);
    return { ...group, attributes: [...group.attributes, integer("job-impressions-completed", impressions)] };
  };
  const aborted = { ...ours, name: "rel-7" };

  test("is believed when another job in the printer's history shows that it counts", async () => {
    wire.answers[OPERATION.getJobAttributes] = { groups: [count(7, 0, 8)] };
    wire.answers[OPERATION.getJobs] = { groups: [count(7, 0, 8), count(6, 4, 9)] };
    expect(await printer.jobStatus(aborted, never)).toMatchObject({ state: "aborted", impressions: 0 });
  });

  test("is not when all its jobs have 0", async () => {
    wire.answers[OPERATION.getJobAttributes] = { groups: [count(7, 0, 8)] };
    wire.answers[OPERATION.getJobs] = { groups: [count(7, 0, 8), count(6, 0, 9)] };
    expect(await printer.jobStatus(aborted, never)).not.toHaveProperty("impressions");
  });
});

describe("jobCounts", () => {
  const col = (name: string, members: Record<string, number>) =>
    attribute(
      name,
      TAG.begCollection,
      Object.entries(members).map(([kind, value]) => integer(kind, value)),
    );
  const counted = [integer("job-impressions-completed", 3), integer("job-media-sheets-completed", 2)];

  test("tells the counts, and apart by colour where the printer has them; nonsense is left out", async () => {
    const kinds = [
      col("job-impressions-completed-col", { monochrome: 2, "full-color": 1, "acme-gold": 5, blank: -1 }),
      integer("job-media-sheets-completed-col", 4),
    ];
    wire.answers[OPERATION.getJobAttributes] = { groups: [job(7, "rel-1", 9, ...counted, ...kinds)] };
    expect(await printer.jobCounts(ours, never)).toEqual({
      ...{ impressions: 3, sheets: 2, impressionsBy: { monochrome: 2, "full-color": 1 } },
    });
    expect(stringsOf(wire.requests[0]?.groups[0], "requested-attributes")).toContain("job-impressions-completed-col");
  });

  test.each([0x0400, 0x040b])(
    "a printer that refuses (%i) to hear of them is asked without, from then on",
    async (code) => {
      wire.answers[OPERATION.getJobAttributes] = (message) =>
        stringsOf(message.groups[0], "requested-attributes").some((name) => name.endsWith("-col"))
          ? { code }
          : { groups: [job(7, "rel-1", 9, ...counted)] };
      expect(await printer.jobCounts(ours, never)).toEqual({ impressions: 3, sheets: 2 });
      expect(await printer.jobCounts(ours, never)).toEqual({ impressions: 3, sheets: 2 });
      expect(wire.requests).toHaveLength(3);
    },
  );

  test("0 impressions of a printer that never counted are none", async () => {
    wire.answers[OPERATION.getJobAttributes] = {
      groups: [job(7, "rel-1", 9, integer("job-impressions-completed", 0))],
    };
    expect(await printer.jobCounts(ours, never)).toEqual({});
  });

  test("a job that is forgotten, or another's by now, has none", async () => {
    wire.answers[OPERATION.getJobAttributes] = { groups: [job(7, "another", 9, ...counted)] };
    expect(await printer.jobCounts(ours, never)).toBeUndefined();
    wire.answers[OPERATION.getJobAttributes] = { code: STATUS.notFound };
    expect(await printer.jobCounts(ours, never)).toBeUndefined();
  });
});

describe("jobsAfter", () => {
  const listed = (completed: number[], active: number[] = []) => {
    wire.answers[OPERATION.getJobs] = (message) => {
      const [which] = stringsOf(message.groups[0], "which-jobs");
      return { groups: (which === "completed" ? completed : active).map((id) => job(id, "whoever", 9)) };
    };
  };

  test.each<[string, number[], number[], number | undefined]>([
    ["none, while ours is the last", [7, 6, 5], [], 0],
    ["those that ended and those that did not", [9, 8, 7], [10], 3],
    ["one that is in both lists for a moment, once", [8, 7], [8], 1],
    ["nothing where ours is not listed: who can tell what else is not", [9], [], undefined],
  ])("%s", async (_name, completed, active, others) => {
    listed(completed, active);
    expect(await printer.jobsAfter(ours, never)).toBe(others);
    // Of other people's jobs nothing is asked but that they are there.
    expect(stringsOf(wire.requests[0]?.groups[0], "requested-attributes")).toEqual(["job-id"]);
  });
});

describe("findJob", () => {
  const which = (message: IppMessage) => stringsOf(message.groups[0], "which-jobs")[0];

  test("looks through the unfinished jobs, then through the finished ones", async () => {
    wire.answers[OPERATION.getJobs] = (message) =>
      which(message) === "completed" ? { groups: [job(3, "rel-11", 9), job(4, "rel-1", 9)] } : {};
    expect(await printer.findJob("rel-1", "alice", never)).toMatchObject({ id: 4, state: "completed" });
    expect(wire.requests.map(which)).toEqual(["not-completed", "completed"]);
    expect(numbersOf(wire.requests[0]?.groups[0], "limit")).toEqual([50]);
    expect(stringsOf(wire.requests[0]?.groups[0], "requesting-user-name")).toEqual(["alice"]);
  });

  test("takes an unfinished job without asking further", async () => {
    wire.answers[OPERATION.getJobs] = { groups: [job(4, "rel-1", 5)] };
    expect(await printer.findJob("rel-1", "alice", never)).toMatchObject({ id: 4, state: "processing" });
    expect(wire.requests).toHaveLength(1);
  });

  test("finds nothing", async () => {
    expect(await printer.findJob("rel-1", "alice", never)).toBeUndefined();
  });
});

describe("cancelJob", () => {
  test.each([0, STATUS.notPossible, STATUS.notFound])("is content with status %i", async (code) => {
    wire.answers[OPERATION.cancelJob] = { code };
    await printer.cancelJob(ours, never);
    expect(operations()).toEqual([OPERATION.getJobAttributes, OPERATION.cancelJob]);
  });

  test("leaves a job of another name alone", async () => {
    wire.answers[OPERATION.getJobAttributes] = { groups: [job(7, "payroll", 5)] };
    await printer.cancelJob(ours, never);
    expect(operations()).toEqual([OPERATION.getJobAttributes]);
  });

  test("tells a refusal", async () => {
    wire.answers[OPERATION.cancelJob] = { code: STATUS.notAuthorized };
    await expect(printer.cancelJob(ours, never)).rejects.toEqual(failure("printer-auth-required"));
    expect(printer.error).toBeUndefined(); // it is this job that it keeps from us
  });
});

test("the verdict and its polls are those of the given health, which is asked more often after a tap", async () => {
  expect(printer.verdict).toEqual({ verdict: "unknown", conditions: [], at: undefined });
  const calls: string[] = [];
  const health = {
    verdict: () => ({ verdict: "blocked", conditions: ["jammed"], at: 5 }) as const,
    report: { problem: undefined, latest: undefined, counters: { polls: 3 } },
    start: () => void calls.push("start"),
    look: async () => void calls.push("look"),
    hurry: () => void calls.push("hurry"),
    nudge: () => void calls.push("nudge"),
    lifeCount: async () => ({ value: 9, unit: "sheets" }),
    stop: async () => void calls.push("stop"),
  };
  const watched = newPrinter({ health });
  expect(watched.verdict.conditions).toEqual(["jammed"]);
  expect(watched.health).toBe(health.report);
  expect([await printer.lifeCount(), await watched.lifeCount()]).toEqual([undefined, { value: 9, unit: "sheets" }]);
  await watched.look();
  watched.start();
  watched.prepare();
  watched.nudge();
  await watched.stop();
  expect(calls).toEqual(["look", "start", "hurry", "nudge", "stop"]);
});

test("after stop nothing answers and nothing stays open", async () => {
  await printer.state(never);
  printer.prepare();
  await printer.stop();
  await expect(printer.state(never)).rejects.toBeInstanceOf(PrinterError);
  await wire.quiet();
  expect(clock.pending).toBe(0);
});

describe("what keeps a printer from being used until a person acts", () => {
  test("a key that is not pinned: not one byte is sent, the error stays to be seen, and goes when the key is right", async () => {
    const authority = new Authority();
    const [right, wrong] = [authority.issue(), authority.issue()];
    let server = await HostileServer.start(wrong);
    const { port } = server;
    const made = (keyPins: readonly string[]) =>
      new IppPrinter({
        name: "mfd",
        uri: `ipps://localhost:${port}/ipp/print`,
        keyPins,
        clock: systemClock,
        log: silentLog,
      });
    const [untrusted, printer] = [made([]), made([right.pin])];
    try {
      expect(untrusted.error).toMatchObject({ code: "printer-key-unknown", detail: "no key is trusted yet" });
      expect(printer.error).toBeUndefined();
      for (const one of [untrusted, printer]) {
        await expect(one.state(never)).rejects.toMatchObject({ code: "printer-key-unknown", nothingSent: true });
        expect(one.error).toMatchObject({ code: "printer-key-unknown", detail: wrong.pin });
      }
      expect(server.received).toBe(0);
      await server.stop();
      server = await HostileServer.start(right, {}, port);
      server.script = (request) => {
        const group = { tag: GROUP.printer, attributes: [...IDLE, ...CAPABLE] };
        const { requestId } = decode(request.body);
        const reply = {
          version: 0x0200,
          code: 0,
          requestId,
          groups: [operationGroup(), group],
          data: new Uint8Array(),
        };
        answer(request, 200, encode(reply), { "content-type": "application/ipp" });
      };
      expect((await printer.state(never)).blocking).toEqual([]);
      expect(printer.error).toBeUndefined();
    } finally {
      await Promise.all([untrusted.stop(), printer.stop(), server.stop()]);
    }
  });
});
