import { createHmac, randomUUID } from "node:crypto";
import { once } from "node:events";
import { fdatasyncSync, openSync, writeSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { Client, type Dispatcher } from "undici";
import { BOOT_HEADER } from "../../agent/protocol/paths.ts";
import {
  boolean,
  integer,
  mediaType,
  nameText,
  operationGroup,
  uri,
  valuesOf,
} from "../../drivers/printers/ipp/attributes.ts";
import { decode, encode } from "../../drivers/printers/ipp/codec.ts";
import type { IppAttribute } from "../../drivers/printers/ipp/message.ts";
import { OPERATION } from "../../drivers/printers/ipp/tags.ts";
import type { BareTls } from "./bed.ts";

/**
 * The floor: what a bare script needs for the same requests, on connections that are open already. A line of TCP triggers
 * it as it does the agent. It checks no key pin, no signature, no hash and no answer, keeps no ledger and asks the printer
 * nothing; the 300 octets that it syncs stand for "bytes may leave".
 */
export interface FloorSettings {
  readonly url: string;
  readonly tls: BareTls;
  /** base64url */
  readonly cardKey: string;
  readonly printerPort: number;
  /** The file that is written and synced. */
  readonly file: string;
}

export interface FloorReady {
  readonly port: number;
}

/** One tap, in ms from the line that triggered it; the names are those of the agent's stages. */
export interface FloorNews {
  readonly stagesMs: Readonly<Record<string, number>>;
}

interface Claimed {
  readonly jobId: string;
  readonly claimId: string;
}

process.once("disconnect", () => process.exit());
process.once("message", async ({ url, tls, cardKey, printerPort, file }: FloorSettings) => {
  const printer = `http://127.0.0.1:${printerPort}`;
  const printerUri = `ipp://127.0.0.1:${printerPort}/ipp/print`;
  const siteKey = Buffer.from(cardKey, "base64url");
  const settings = { keepAliveTimeout: 100_000, keepAliveMaxTimeout: 100_000 };
  const central = new Client(url, { ...settings, connect: { ...tls } });
  const documents = new Client(url, { ...settings, connect: { ...tls } });
  const polls = new Client(printer, settings);
  const ledger = openSync(file, "a", 0o600);
  const record = Buffer.alloc(300, "x");
  let spare: Socket | undefined;

  const send = async (
    client: Client,
    method: "GET" | "POST",
    path: string,
    headers: Record<string, string>,
    body?: Uint8Array | string,
  ): Promise<Buffer> => {
    const reply: Dispatcher.ResponseData = await client.request({ method, path, headers, body: body ?? null });
    if (reply.statusCode !== 200) throw new Error(`${method} ${path}: HTTP ${reply.statusCode}`);
    return Buffer.from(await reply.body.arrayBuffer());
  };
  const own = { [BOOT_HEADER]: tls.boot };
  const json = { ...own, "content-type": "application/json" };
  const ipp = { "content-type": "application/ipp" };
  const message = (code: number, ...attributes: IppAttribute[]) =>
    encode({
      version: 0x0200,
      code,
      requestId: 1,
      groups: [operationGroup(uri("printer-uri", printerUri), ...attributes)],
      data: new Uint8Array(),
    });
  const openSpare = async () => {
    spare = connect({ port: printerPort, host: "127.0.0.1", noDelay: true });
    await once(spare, "connect");
  };

  const tap = async (card: string): Promise<void> => {
    const tappedAt = performance.now();
    const stagesMs: Record<string, number> = {};
    const stage = (name: string) => {
      stagesMs[name] = performance.now() - tappedAt;
    };
    const token = createHmac("sha256", siteKey).update(card).digest("hex");
    const asked = {
      tapId: randomUUID(),
      at: new Date().toISOString(),
      reader: "front",
      printer: "mfd",
      credential: { kind: "card", token },
    };
    const answer = JSON.parse(String(await send(central, "POST", "/v1/taps", json, JSON.stringify(asked)))) as {
      jobs: { payload: string }[];
    };
    const claim = JSON.parse(String(Buffer.from(answer.jobs[0]?.payload ?? "", "base64url"))) as Claimed;
    const { jobId, claimId } = claim;
    stage("answered");
    const document = await send(documents, "GET", `/v1/jobs/${jobId}/document`, {
      ...own,
      "printgate-claim": claimId,
    });
    stage("fetched");
    const created = decode(
      await send(polls, "POST", "/ipp/print", ipp, message(OPERATION.createJob, nameText("job-name", claimId))),
    );
    const id = Number(valuesOf(created.groups[1], "job-id")[0]?.value);
    stage("created");
    writeSync(ledger, record);
    fdatasyncSync(ledger);
    stage("durable");
    const header = message(
      OPERATION.sendDocument,
      integer("job-id", id),
      mediaType("document-format", "application/pdf"),
      boolean("last-document", true),
    );
    const fresh = new Client(printer, {
      connect: (_options, done) => queueMicrotask(() => done(null, spare as Socket)),
    });
    await send(fresh, "POST", "/ipp/print", ipp, Buffer.concat([header, document]));
    // From here on nothing is measured.
    stage("sent");
    process.send?.({ stagesMs } satisfies FloorNews);
    await fresh.destroy();
    const outcome = { claimId, word: "printed", state: "DONE", reason: "none", at: new Date().toISOString() };
    await openSpare();
    await send(central, "POST", `/v1/jobs/${jobId}/outcome`, json, JSON.stringify(outcome));
  };

  for (const client of [central, documents]) await send(client, "GET", "/v1/agents/self", own);
  await send(polls, "POST", "/ipp/print", ipp, message(OPERATION.getPrinterAttributes));
  await openSpare();
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on("data", (line) => void tap(line.toString("latin1").trim()));
    socket.on("error", () => socket.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  process.send?.({ port: (server.address() as AddressInfo).port } satisfies FloorReady);
});
