import { mkdtemp, readFile, rm } from "node:fs/promises";
import { Agent, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as rest } from "node:timers/promises";
import {
  integer,
  keyword,
  mediaType,
  nameText,
  numbersOf,
  operationGroup,
  uri,
} from "../../drivers/printers/ipp/attributes.ts";
import { decode, encode } from "../../drivers/printers/ipp/codec.ts";
import type { IppAttribute, IppGroup, IppMessage } from "../../drivers/printers/ipp/message.ts";
import { GROUP, OPERATION, STATUS } from "../../drivers/printers/ipp/tags.ts";
import { CUPS_PATH, Cupsd } from "../real/cupsd.ts";
import { writeDocument } from "./bed.ts";
import type { BenchPrinter } from "./printer.ts";
import { within } from "./processes.ts";
import { type Spread, spread } from "./statistics.ts";

/** RFC 8011 4.3.6. */
const RELEASE_JOB = 0x000d;
const COMPLETED = 9;
const RELEASE_MS = 60_000;

/** A private cupsd that releases held jobs to the same printer, through its `ipp` backend; undefined where there is no cupsd. */
export async function measureCups(printer: BenchPrinter, releases: number): Promise<Spread | undefined> {
  if (!(await Cupsd.isThere())) return undefined;
  const folder = await mkdtemp(join(tmpdir(), "printgate-bench-cups-"));
  let cupsd: Cupsd | undefined;
  const connection = new Agent({ keepAlive: true });
  try {
    cupsd = await Cupsd.start({ deviceUri: printer.uri });
    const { port } = cupsd;
    const document = join(folder, "document");
    await writeDocument(document, 100_000);
    const bytes = await readFile(document);
    const times: number[] = [];
    for (let release = 0; release < releases; release++) {
      const ask = (code: number, attributes: IppAttribute[], groups: IppGroup[] = [], data = new Uint8Array()) =>
        call(port, connection, code, attributes, groups, data);
      const held = { tag: GROUP.job, attributes: [keyword("job-hold-until", "indefinite")] };
      const created = await ask(OPERATION.printJob, [mediaType("document-format", "application/pdf")], [held], bytes);
      const job = integer("job-id", ...numbersOf(created.groups[1], "job-id"));
      await rest(200);
      const { whole } = printer.expect();
      const releasedAt = performance.now();
      await ask(RELEASE_JOB, [job]);
      const { firstByteAt } = await within(RELEASE_MS, "a document from CUPS", whole);
      times.push(firstByteAt - releasedAt);
      const deadline = performance.now() + RELEASE_MS;
      for (let state = 0; state < COMPLETED && performance.now() < deadline; await rest(50)) {
        [state = 0] = numbersOf((await ask(OPERATION.getJobAttributes, [job])).groups[1], "job-state");
      }
    }
    return spread(times);
  } finally {
    connection.destroy();
    await cupsd?.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

function call(
  port: number,
  connection: Agent,
  code: number,
  attributes: readonly IppAttribute[],
  groups: readonly IppGroup[],
  data = new Uint8Array(),
): Promise<IppMessage> {
  const operation = operationGroup(
    uri("printer-uri", `ipp://127.0.0.1:${port}${CUPS_PATH}`),
    ...attributes.filter(({ name }) => name === "job-id"),
    nameText("requesting-user-name", "bench"),
    ...attributes.filter(({ name }) => name !== "job-id"),
  );
  const bytes = encode({ version: 0x0200, code, requestId: 1, groups: [operation, ...groups], data: new Uint8Array() });
  const body = Buffer.concat([bytes, data]);
  return new Promise((resolve, reject) => {
    const posted = request(
      {
        ...{ agent: connection, host: "127.0.0.1", port, path: CUPS_PATH, method: "POST" },
        headers: { "content-type": "application/ipp", "content-length": body.length },
      },
      (reply) => {
        reply
          .toArray()
          .then((chunks) => {
            const message = decode(Buffer.concat(chunks as Buffer[]));
            if (reply.statusCode === 200 && message.code < STATUS.badRequest) resolve(message);
            else reject(new Error(`CUPS: HTTP ${reply.statusCode}, IPP status ${message.code.toString(16)}`));
          })
          .catch(reject);
      },
    );
    posted.on("error", reject);
    posted.end(body);
  });
}
