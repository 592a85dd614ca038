import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { access, chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { Agent, request } from "node:http";
import { tmpdir, userInfo } from "node:os";
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
import { freePorts, writeDocument } from "./bed.ts";
import type { BenchPrinter } from "./printer.ts";
import { end, start, within } from "./processes.ts";
import { type Spread, spread } from "./statistics.ts";

const CUPSD = "/usr/sbin/cupsd";
/** RFC 8011 4.3.6. */
const RELEASE_JOB = 0x000d;
const COMPLETED = 9;
const READY_MS = 15_000;
const RELEASE_MS = 60_000;

/** A private cupsd that releases held jobs to the same printer, through its `ipp` backend; undefined where there is no cupsd. */
export async function measureCups(printer: BenchPrinter, releases: number): Promise<Spread | undefined> {
  if (!(await exists(CUPSD))) return undefined;
  const folder = await mkdtemp(join(tmpdir(), "printgate-cups-"));
  let cupsd: ChildProcess | undefined;
  const connection = new Agent({ keepAlive: true });
  try {
    await chmod(folder, 0o755); // its backends run as another user
    const [port = 0] = await freePorts(1);
    cupsd = await startCupsd(folder, port, printer.uri, connection);
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
    if (cupsd !== undefined) await end(cupsd);
    await rm(folder, { recursive: true, force: true });
  }
}

async function startCupsd(folder: string, port: number, printerUri: string, connection: Agent): Promise<ChildProcess> {
  for (const name of ["etc", "run", "spool", "cache", "tmp"]) await mkdir(join(folder, name), { mode: 0o755 });
  const at = (name: string) => join(folder, name);
  const { username, uid } = userInfo();
  await writeFile(
    at("cups-files.conf"),
    `SystemGroup ${uid === 0 ? "root" : "lp"}
User ${uid === 0 ? "lp" : username}
Group lp
ServerRoot ${at("etc")}
StateDir ${at("run")}
RequestRoot ${at("spool")}
CacheDir ${at("cache")}
TempDir ${at("tmp")}
DataDir /usr/share/cups
ServerBin /usr/lib/cups
ErrorLog ${at("error_log")}
AccessLog ${at("access_log")}
PageLog ${at("page_log")}
`,
  );
  await writeFile(
    at("cupsd.conf"),
    `Listen 127.0.0.1:${port}
LogLevel warn
Browsing Off
WebInterface No
DefaultAuthType None
<Location />
  Order allow,deny
  Allow from 127.0.0.1
</Location>
<Policy default>
  <Limit All>
    Order allow,deny
    Allow from 127.0.0.1
  </Limit>
</Policy>
`,
  );
  // Without a PPD the document goes to the backend as it is: no filter takes part.
  await writeFile(
    at("etc/printers.conf"),
    `<DefaultPrinter bench>
DeviceURI ${printerUri}
State Idle
Accepting Yes
Shared No
JobSheets none none
OpPolicy default
ErrorPolicy stop-printer
</DefaultPrinter>
`,
    { mode: 0o600 },
  );
  const cupsd = start(CUPSD, ["-f", "-c", at("cupsd.conf"), "-s", at("cups-files.conf")], "ignore");
  try {
    await Promise.race([
      within(READY_MS, "cupsd", answering(port, connection)),
      once(cupsd, "exit").then(async () => {
        throw new Error(`cupsd ended: ${await readFile(at("error_log"), "utf8").catch(String)}`);
      }),
    ]);
    return cupsd;
  } catch (error) {
    await end(cupsd);
    throw error;
  }
}

async function answering(port: number, connection: Agent): Promise<void> {
  for (let attempt = 0; attempt < READY_MS / 50; attempt++) {
    try {
      await call(port, connection, OPERATION.getPrinterAttributes, [], []);
      return;
    } catch {
      await rest(50); // not yet; whoever called has the deadline
    }
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
    uri("printer-uri", `ipp://127.0.0.1:${port}/printers/bench`),
    ...attributes.filter(({ name }) => name === "job-id"),
    nameText("requesting-user-name", "bench"),
    ...attributes.filter(({ name }) => name !== "job-id"),
  );
  const bytes = encode({ version: 0x0200, code, requestId: 1, groups: [operation, ...groups], data: new Uint8Array() });
  const body = Buffer.concat([bytes, data]);
  return new Promise((resolve, reject) => {
    const posted = request(
      {
        ...{ agent: connection, host: "127.0.0.1", port, path: "/printers/bench", method: "POST" },
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

function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}
