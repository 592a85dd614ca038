import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "../../drivers/clock.ts";
import { silentLog } from "../../drivers/log.ts";
import type { DocumentBody, JobRequest, PrinterJob } from "../../drivers/printer.ts";
import { IppPrinter } from "../../drivers/printers/ipp/printer.ts";
import { type EvePrinter, startEvePrinter } from "./ippeveprinter.ts";

const never = new AbortController().signal;
const WRONG_PIN = `sha256/${"A".repeat(43)}=`;

/** Not a PDF, but the printer's command does not look. */
const content = Buffer.alloc(1_500_000, "%PDF-1.4 printgate ");
const document: DocumentBody = {
  size: content.length,
  async *chunks() {
    for (let at = 0; at < content.length; at += 100_000) yield content.subarray(at, at + 100_000);
  },
};
const requestOf = (name: string): JobRequest => ({ name, user: "alice", format: "application/pdf" });

const printers: IppPrinter[] = [];
const eves: EvePrinter[] = [];

afterAll(async () => {
  await Promise.all(printers.map((printer) => printer.stop()));
  await Promise.all(eves.map((eve) => eve.stop()));
});

async function start(options: Parameters<typeof startEvePrinter>[0] = {}): Promise<EvePrinter> {
  const eve = await startEvePrinter(options);
  eves.push(eve);
  return eve;
}

function printerAt(uri: string, keyPins: string[], contentLength = false): IppPrinter {
  const printer = new IppPrinter({ name: "Eve", uri, keyPins, contentLength, clock: systemClock, log: silentLog });
  printers.push(printer);
  return printer;
}

const ended = (printer: IppPrinter, job: PrinterJob) =>
  expect.poll(async () => (await printer.jobStatus(job, never))?.state, { timeout: 15_000 });

/** What the printer wrote to disk of job `id`. */
async function received(eve: EvePrinter, id: number): Promise<Buffer> {
  const file = (await readdir(eve.spool)).find((name) => name.startsWith(`${id}-`));
  return readFile(join(eve.spool, file ?? "missing"));
}

describe.each(["http", "https"])("ippeveprinter over %s", (scheme) => {
  let eve: EvePrinter;
  let printer: IppPrinter;
  const connect = (contentLength = false) =>
    scheme === "http" ? printerAt(eve.uri, [], contentLength) : printerAt(eve.secureUri, [eve.keyPin], contentLength);

  beforeAll(async () => {
    eve = await start();
    printer = connect();
  });

  test("is idle and ready", async () => {
    expect(await printer.state(never)).toMatchObject({ state: "idle", accepting: true, blocking: [] });
  });

  test.each([
    ["in chunks", false],
    ["with Content-Length", true],
  ])("takes a document %s, octet by octet, and completes it", async (word, contentLength) => {
    const sender = connect(contentLength);
    sender.prepare();
    const request = requestOf(`rel-${word}`);
    const job = await sender.createJob(request, never);
    if (job === undefined) throw new Error("no Create-Job");
    expect(await sender.send(job, request, document, never)).toMatchObject({ id: job.id, name: request.name });
    await ended(sender, job).toBe("completed");
    expect((await received(eve, job.id)).equals(content)).toBe(true);
    expect(await sender.findJob(request.name, "alice", never)).toMatchObject({ id: job.id, state: "completed" });
    expect(await sender.jobStatus({ ...job, name: "another" }, never)).toBeUndefined();
    await sender.cancelJob(job, never);
    expect(sender.counters).toMatchObject({ documents: 1, bytes: content.length });
  });

  test("takes a document by Print-Job", async () => {
    const job = await printer.send(undefined, requestOf("rel-print-job"), document, never);
    await ended(printer, job).toBe("completed");
    expect((await received(eve, job.id)).equals(content)).toBe(true);
  });

  test("cancels a job that still waits for its document, and finds it by name", async () => {
    const job = await printer.createJob(requestOf("rel-cancel"), never);
    if (job === undefined) throw new Error("no Create-Job");
    expect(await printer.findJob("rel-cancel", "alice", never)).toMatchObject({ id: job.id });
    await printer.cancelJob(job, never);
    await ended(printer, job).toBe("canceled");
  });

  test("knows no job that was never made", async () => {
    expect(await printer.jobStatus({ id: 4711, name: "rel-none" }, never)).toBeUndefined();
    expect(await printer.findJob("rel-none", "alice", never)).toBeUndefined();
  });
});

test("a key that is not pinned is refused before a byte leaves, and its hash is shown", async () => {
  const eve = await start();
  const printer = printerAt(eve.secureUri, [WRONG_PIN]);
  const refused = expect.objectContaining({ code: "printer-key-unknown", detail: eve.keyPin, nothingSent: true });
  await expect(printer.state(never)).rejects.toEqual(refused);
  await expect(printer.createJob(requestOf("rel-1"), never)).rejects.toEqual(refused);
  await expect(printer.send({ id: 1, name: "rel-1" }, requestOf("rel-1"), document, never)).rejects.toEqual(refused);
});

test("a printer that prints another job is busy", async () => {
  const eve = await start({ script: "exec sleep 1000" });
  const printer = printerAt(eve.uri, []);
  const job = await printer.createJob(requestOf("rel-1"), never);
  await printer.send(job, requestOf("rel-1"), document, never);
  await expect(printer.createJob(requestOf("rel-2"), never)).rejects.toEqual(
    expect.objectContaining({ code: "printer-busy" }),
  );
});
