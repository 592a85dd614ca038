import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type MfdOptions, VirtualMfd } from "../../../agent/demo/mfd.ts";
import {
  attribute,
  boolean,
  groupsOf,
  integer,
  keyword,
  mediaType,
  nameText,
  numbersOf,
  operationGroup,
  stringsOf,
  uri,
} from "../../../drivers/printers/ipp/attributes.ts";
import { decode, encode } from "../../../drivers/printers/ipp/codec.ts";
import type { IppAttribute, IppGroup, IppMessage } from "../../../drivers/printers/ipp/message.ts";
import { GROUP, OPERATION, STATUS, TAG } from "../../../drivers/printers/ipp/tags.ts";
import { FakeClock } from "../../sim/clock.ts";

let folder: string;
let clock: FakeClock;
let mfd: VirtualMfd;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "printgate-mfd-"));
  clock = new FakeClock(500);
  await restart();
});

afterEach(async () => {
  await mfd.stop();
  expect(mfd.failures).toEqual([]);
  expect(clock.pending).toBe(0);
  await rm(folder, { recursive: true, force: true });
});

async function restart(options: Partial<MfdOptions> = {}): Promise<void> {
  await mfd?.stop();
  mfd = await VirtualMfd.start({ clock, folder, ...options });
}

const PDF = Buffer.from("%PDF-1.7 a page");
const url = () => mfd.uri.replace(/^ipp/, "http");
const printed = async () => (await readdir(folder)).filter((name) => !name.startsWith(".")).sort();

function bytesOf(code: number, groups: readonly IppGroup[], options: { version?: number; requestId?: number } = {}) {
  return encode({ version: 0x0200, requestId: 7, data: new Uint8Array(), ...options, code, groups });
}

/** Every request on a connection of its own, so that a broken one is nobody else's. */
async function http(path: string, method: string, type: string, body: Uint8Array = new Uint8Array()) {
  const options = { method, agent: false, rejectUnauthorized: false, headers: { "content-type": type } };
  const request = (mfd.uri.startsWith("ipps:") ? httpsRequest : httpRequest)(new URL(path, url()), options);
  request.end(body);
  const [response]: IncomingMessage[] = await once(request, "response");
  return { status: response?.statusCode, body: Buffer.concat((await response?.toArray()) ?? []) };
}

async function post(message: Uint8Array): Promise<IppMessage> {
  const { status, body } = await http("/ipp/print", "POST", "application/ipp", message);
  expect(status).toBe(200);
  return decode(body);
}

/** One operation on the printer; `more` follows printer-uri. */
function ask(code: number, more: readonly IppAttribute[] = [], document: Uint8Array = new Uint8Array()) {
  return post(Buffer.concat([bytesOf(code, [operationGroup(uri("printer-uri", mfd.uri), ...more)]), document]));
}

const named = (name: string, user = "ada") => [nameText("requesting-user-name", user), nameText("job-name", name)];
const job = (message: IppMessage) => groupsOf(message, GROUP.job)[0];
const idOf = (message: IppMessage) => numbersOf(job(message), "job-id")[0] ?? Number.NaN;
const print = (name: string, user?: string) => ask(OPERATION.printJob, named(name, user), PDF);
const create = async (name: string) => idOf(await ask(OPERATION.createJob, named(name)));
const send = (id: number, document: Uint8Array = PDF, last = true) =>
  ask(OPERATION.sendDocument, [integer("job-id", id), boolean("last-document", last)], document);
const jobState = async (id: number) => {
  const reply = await ask(OPERATION.getJobAttributes, [integer("job-id", id)]);
  return [numbersOf(job(reply), "job-state")[0], ...stringsOf(job(reply), "job-state-reasons")];
};
const printer = async () => {
  const [group] = groupsOf(await ask(OPERATION.getPrinterAttributes), GROUP.printer);
  return [numbersOf(group, "printer-state")[0], ...stringsOf(group, "printer-state-reasons")];
};
const jobs = async (which: string, ...more: IppAttribute[]) => {
  const reply = await ask(OPERATION.getJobs, [keyword("which-jobs", which), ...more]);
  return groupsOf(reply, GROUP.job).map((group) => numbersOf(group, "job-id")[0]);
};

describe("printing", () => {
  test("Create-Job and Send-Document: pending, processing, completed, and the bytes are in the folder", async () => {
    const first: object[] = [];
    await restart({ onFirstByte: (document) => first.push(document) });
    const id = await create("one");
    expect(await jobState(id)).toEqual([3, "job-incoming"]);
    expect(first).toEqual([]);
    clock.advance(10);
    expect((await send(id)).code).toBe(STATUS.ok);
    expect(first).toEqual([{ jobId: 1, name: "one", at: 510 }]);
    expect(await jobState(id)).toEqual([5, "job-printing"]);
    expect(await printer()).toEqual([4, "none"]);
    expect(await printed()).toEqual([]);
    clock.advance(40);
    expect(await jobState(id)).toEqual([9, "job-completed-successfully"]);
    const sha256 = createHash("sha256").update(PDF).digest("hex");
    expect(mfd.prints).toMatchObject([
      { jobId: 1, name: "one", sha256, size: PDF.length, at: 550, firstByteAt: 510, cut: false },
    ]);
    expect(await readFile(mfd.prints[0]?.file ?? "")).toEqual(PDF);
    expect(await printed()).toHaveLength(1);
  });

  test("several jobs come out one after the other", async () => {
    await print("a");
    await print("b");
    await print("c");
    expect(await jobs("not-completed")).toEqual([1, 2, 3]);
    clock.advance(120);
    expect(mfd.prints.map(({ jobId, at }) => [jobId, at])).toEqual([
      [1, 540],
      [2, 580],
      [3, 620],
    ]);
  });

  test("a document in two parts of the connection, and an empty closing Send-Document", async () => {
    const id = await create("parts");
    await send(id, PDF, false);
    expect(await jobState(id)).toEqual([3, "job-incoming"]);
    expect((await send(id, PDF)).code).toBe(0x0509);
    expect((await send(id, new Uint8Array())).code).toBe(STATUS.ok);
    expect((await send(id)).code).toBe(STATUS.notPossible);
    clock.advance(40);
    expect(mfd.prints).toMatchObject([{ size: PDF.length }]);
  });

  test("a job without a document is aborted after a minute, and an empty one at once", async () => {
    const waiting = await create("waits");
    const empty = await create("empty");
    expect((await send(empty, new Uint8Array())).code).toBe(STATUS.badRequest);
    expect(await jobState(empty)).toEqual([8, "aborted-by-system"]);
    clock.advance(60_000);
    expect(await jobState(waiting)).toEqual([8, "aborted-by-system"]);
    expect(mfd.prints).toEqual([]);
  });

  test("a canceled job does not print, and a job that ended cannot be canceled", async () => {
    const id = idOf(await print("no"));
    const cancel = () => ask(OPERATION.cancelJob, [integer("job-id", id)]);
    expect((await cancel()).code).toBe(STATUS.ok);
    clock.advance(1_000);
    expect(await jobState(id)).toEqual([7, "job-canceled-by-user"]);
    expect((await cancel()).code).toBe(STATUS.notPossible);
    expect(await printed()).toEqual([]);
  });
});

test("over TLS", async () => {
  const [key, cert] = [join(folder, ".key"), join(folder, ".cert")];
  const subject = ["-subj", "/CN=mfd", "-addext", "subjectAltName=IP:127.0.0.1"];
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
  await promisify(execFile)("openssl", ["req", "-x509", ...curve, "-nodes", "-keyout", key, "-out", cert, ...subject]);
  await restart({ tls: { key: await readFile(key, "utf8"), cert: await readFile(cert, "utf8") } });
  expect(mfd.uri).toMatch(/^ipps:/);
  expect((await print("secret")).code).toBe(STATUS.ok);
  clock.advance(40);
  expect(mfd.prints).toHaveLength(1);
});

describe("trouble", () => {
  test("a jam stops the job that prints and it comes out when the jam is cleared", async () => {
    const id = idOf(await print("jammed"));
    mfd.jam();
    clock.advance(1_000);
    expect(await printer()).toEqual([5, "media-jam-error"]);
    expect(await jobState(id)).toEqual([6, "printer-stopped"]);
    mfd.paperOut();
    mfd.clearJam();
    clock.advance(1_000);
    expect(await printer()).toEqual([5, "media-empty-error"]);
    expect(mfd.prints).toEqual([]);
    mfd.paperIn();
    clock.advance(40);
    expect(mfd.prints).toHaveLength(1);
    expect(await printer()).toEqual([3, "none"]);
  });

  test("busy, one job at a time, not accepting", async () => {
    mfd.busy(true);
    expect((await print("a")).code).toBe(STATUS.busy);
    mfd.busy(false);
    mfd.singleJob(true);
    expect((await print("b")).code).toBe(STATUS.ok);
    expect((await print("c")).code).toBe(STATUS.busy);
    clock.advance(40);
    expect((await print("d")).code).toBe(STATUS.ok);
    mfd.stopAccepting();
    expect((await ask(OPERATION.createJob)).code).toBe(STATUS.notAcceptingJobs);
    mfd.startAccepting();
    mfd.slow(9_000);
    clock.advance(40);
    expect((await print("e")).code).toBe(STATUS.ok);
    clock.advance(8_999);
    expect(mfd.prints.map(({ name }) => name)).toEqual(["b", "d"]);
    clock.advance(1);
    expect(mfd.prints).toHaveLength(3);
  });

  test("an old printer has no Create-Job", async () => {
    await restart({ withoutCreateJob: true });
    const [group] = groupsOf(await ask(OPERATION.getPrinterAttributes), GROUP.printer);
    expect(numbersOf(group, "operations-supported")).not.toContain(OPERATION.createJob);
    expect((await ask(OPERATION.createJob)).code).toBe(STATUS.operationNotSupported);
    expect((await print("old")).code).toBe(STATUS.ok);
    clock.advance(40);
    expect(mfd.prints).toHaveLength(1);
  });

  test("a power cycle loses jobs and history and gives the ids out again", async () => {
    const uuid = async () => stringsOf(job(await ask(OPERATION.getJobAttributes, [integer("job-id", 1)])), "job-uuid");
    await print("done");
    clock.advance(40);
    await print("lost");
    const before = await uuid();
    mfd.powerCycle();
    clock.advance(1_000);
    expect((await ask(OPERATION.getJobAttributes, [integer("job-id", 1)])).code).toBe(STATUS.notFound);
    expect(await create("after")).toBe(1);
    expect(await uuid()).not.toEqual(before);
    expect(mfd.prints.map(({ name }) => name)).toEqual(["done"]);
  });

  /** Sends the first half of a document on a connection that then breaks. */
  async function cutUpload(id: number, cut?: () => void): Promise<void> {
    const head = bytesOf(OPERATION.sendDocument, [
      operationGroup(uri("printer-uri", mfd.uri), integer("job-id", id), boolean("last-document", true)),
    ]);
    const request = httpRequest(url(), {
      method: "POST",
      headers: { "content-type": "application/ipp" },
      agent: false,
    });
    request.on("error", () => {});
    request.write(Buffer.concat([head, PDF.subarray(0, 8)]));
    await vi.waitFor(() => expect(mfd.requests.get(OPERATION.sendDocument)).toBe(1), { interval: 2 });
    if (cut) cut();
    else request.destroy();
    await vi.waitFor(() => expect(mfd.cuts).toHaveLength(1), { interval: 2 });
  }

  test("a power cycle in the middle of a transfer prints nothing of it, even on a lying printer", async () => {
    await restart({ lieCompleted: true });
    await cutUpload(await create("half"), () => mfd.powerCycle());
    clock.advance(1_000);
    expect(mfd.prints).toEqual([]);
    expect(await jobs("completed")).toEqual([]);
  });

  test("a large refused document is taken to its end, so that the refusal arrives", async () => {
    mfd.busy(true);
    expect((await ask(OPERATION.printJob, named("big"), Buffer.alloc(8_000_000))).code).toBe(STATUS.busy);
  });

  test("a full or broken disk is an internal error, and the job is aborted", async () => {
    await rm(join(folder, ".spool"), { recursive: true });
    expect((await print("lost")).code).toBe(STATUS.internalError);
    expect(await jobState(1)).toEqual([8, "aborted-by-system"]);
    expect(mfd.failures.splice(0)).toMatchObject([{ code: "ENOENT" }]);
  });

  test("a cut transfer is recorded, and an honest printer aborts the job", async () => {
    const id = await create("cut");
    await cutUpload(id);
    expect(mfd.cuts).toEqual([{ jobId: 1, name: "cut", size: 8 }]);
    expect(await jobState(id)).toEqual([8, "aborted-by-system"]);
    clock.advance(1_000);
    expect(mfd.prints).toEqual([]);
    expect(await printed()).toEqual([]);
  });

  test("a lying printer reports half a document as completed", async () => {
    await restart({ lieCompleted: true });
    const id = await create("half");
    await cutUpload(id);
    clock.advance(40);
    expect(await jobState(id)).toEqual([9, "job-completed-successfully"]);
    expect(mfd.prints).toMatchObject([{ name: "half", size: 8, cut: true }]);
    expect(await printed()).toHaveLength(1);
  });
});

describe("answers", () => {
  test("Get-Printer-Attributes gives what is asked for, by name and by group", async () => {
    const names = async (...requested: string[]) => {
      const reply = await ask(OPERATION.getPrinterAttributes, [keyword("requested-attributes", ...requested)]);
      return groupsOf(reply, GROUP.printer).flatMap(({ attributes }) => attributes.map(({ name }) => name));
    };
    expect(await names("printer-state", "no-such", "sides-default")).toEqual(["printer-state", "sides-default"]);
    expect(await names("job-template")).not.toContain("printer-state");
    expect((await names("all")).length).toBeGreaterThan(50);
  });

  test("Get-Jobs: which, limit, mine, requested attributes; newest completed first", async () => {
    await print("a", "ada");
    await print("b", "bob");
    clock.advance(40);
    clock.advance(40);
    await print("c", "bob");
    expect(await jobs("completed")).toEqual([2, 1]);
    expect(await jobs("completed", integer("limit", 1))).toEqual([2]);
    expect(await jobs("not-completed")).toEqual([3]);
    expect(await jobs("completed", nameText("requesting-user-name", "ada"), boolean("my-jobs", true))).toEqual([1]);
    const reply = await ask(OPERATION.getJobs, [keyword("requested-attributes", "job-name", "job-state")]);
    expect(job(reply)?.attributes.map(({ name }) => name)).toEqual(["job-name", "job-state"]);
    expect((await ask(OPERATION.getJobs, [keyword("which-jobs", "all")])).code).toBe(0x040b);
  });

  test("Validate-Job refuses what Print-Job would refuse, and takes no job", async () => {
    const validate = async (...more: IppAttribute[]) => (await ask(OPERATION.validateJob, more)).code;
    expect(await validate(mediaType("document-format", "application/pdf"))).toBe(STATUS.ok);
    expect(await validate(mediaType("document-format", "text/html"))).toBe(STATUS.documentFormatNotSupported);
    expect(await validate(keyword("compression", "gzip"))).toBe(0x040f);
    expect(await jobs("not-completed")).toEqual([]);
  });

  test("unknown job attributes are ignored and named, or refused with ipp-attribute-fidelity", async () => {
    const groups = (fidelity: boolean) => [
      operationGroup(uri("printer-uri", mfd.uri), boolean("ipp-attribute-fidelity", fidelity)),
      { tag: GROUP.job, attributes: [integer("copies", 1), integer("staples", 9)] },
    ];
    const strict = await post(bytesOf(OPERATION.createJob, groups(true)));
    expect(strict.code).toBe(0x040b);
    expect(groupsOf(strict, GROUP.unsupported)[0]?.attributes).toEqual([attribute("staples", TAG.unsupported, null)]);
    const lenient = await post(bytesOf(OPERATION.createJob, groups(false)));
    expect(lenient.code).toBe(STATUS.okIgnoredAttributes);
    expect(idOf(lenient)).toBe(1);
  });

  const charset = attribute("attributes-charset", TAG.charset, "utf-8");
  const language = attribute("attributes-natural-language", TAG.naturalLanguage, "en");
  const target = uri("printer-uri", "ipp://x/ipp/print");
  test.each([
    ["no operation attributes", [], STATUS.badRequest],
    ["no language", [charset, target], STATUS.badRequest],
    ["language before charset", [language, charset, target], STATUS.badRequest],
    ["no target", [charset, language], STATUS.badRequest],
    ["target not third", [charset, language, nameText("job-name", "x"), target], STATUS.badRequest],
    ["an attribute twice", [charset, language, target, target], STATUS.badRequest],
    ["another charset", [attribute("attributes-charset", TAG.charset, "koi8-r"), language, target], 0x040d],
  ])("%s", async (_name, attributes, status) => {
    const reply = await post(bytesOf(OPERATION.getPrinterAttributes, [{ tag: GROUP.operation, attributes }]));
    expect(reply).toMatchObject({ code: status, requestId: 7 });
  });

  test("bad versions, request ids, operations, jobs", async () => {
    const sound = [operationGroup(target)];
    const get = OPERATION.getPrinterAttributes;
    expect(await post(bytesOf(get, sound, { version: 0 }))).toMatchObject({ code: 0x0503, version: 0x0200 });
    expect(await post(bytesOf(get, sound, { version: 0x0900 }))).toMatchObject({ code: 0x0503 });
    expect(await post(bytesOf(get, sound, { version: 0x0101 }))).toMatchObject({ code: 0, version: 0x0101 });
    expect(await post(bytesOf(get, sound, { requestId: 0 }))).toMatchObject({ code: STATUS.badRequest });
    expect((await ask(0x4001)).code).toBe(STATUS.operationNotSupported);
    for (const operation of [OPERATION.getJobAttributes, OPERATION.cancelJob, OPERATION.sendDocument]) {
      expect((await ask(operation, [integer("job-id", 99)])).code).toBe(STATUS.notFound);
    }
    expect((await ask(OPERATION.sendDocument, [integer("job-id", await create("x"))])).code).toBe(STATUS.badRequest);
  });

  test("what is not IPP gets an IPP or an HTTP error", async () => {
    expect((await post(Buffer.from("02000000000000010121fff7", "hex"))).code).toBe(STATUS.badRequest);
    const status = async (...request: Parameters<typeof http>) => (await http(...request)).status;
    expect(await status("/ipp/print", "POST", "application/ipp", Buffer.from("short"))).toBe(400);
    expect(await status("/ipp/print", "POST", "text/plain", Buffer.from("hello"))).toBe(415);
    expect(await status("/ipp/print", "GET", "text/plain")).toBe(405);
    expect(await status("/", "GET", "text/plain")).toBe(404);
  });
});
