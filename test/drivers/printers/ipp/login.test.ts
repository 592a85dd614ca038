import { createHash } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../../../drivers/clock.ts";
import { silentLog } from "../../../../drivers/log.ts";
import type { DocumentBody } from "../../../../drivers/printer.ts";
import { keyword } from "../../../../drivers/printers/ipp/attributes.ts";
import { decode, encode } from "../../../../drivers/printers/ipp/codec.ts";
import { IppPrinter, type IppPrinterOptions } from "../../../../drivers/printers/ipp/printer.ts";
import { OPERATION } from "../../../../drivers/printers/ipp/tags.ts";
import { Authority } from "../../../sim/authority.ts";
import { FakeClock } from "../../../sim/clock.ts";
import { answer, HostileServer } from "../../../sim/tls-server.ts";
import { CAPABLE, type Exchange, IDLE, printerGroup, ScriptedPrinter } from "./scripted-printer.ts";

const never = new AbortController().signal;
const request = { name: "rel-1", user: "alice", format: "application/pdf" };
const login = { user: "Zoë", password: 'pass "word" 7431' };
const REALM = "büro";
const octets = (text: string) => Buffer.from(text).toString("latin1");

const document: DocumentBody = {
  size: 4,
  async *chunks() {
    yield Buffer.from("%PDF");
  },
};

type Digest = "MD5" | "SHA-256";

/** Asks for Digest as a printer does, and judges what comes with hashes of its own. */
class DigestGate {
  readonly algorithm: Digest;
  /** The operations that were refused. */
  readonly refused: number[] = [];
  readonly counts: number[] = [];
  /** Operations that need a login. */
  guards: (operation: number) => boolean = () => true;
  nonces = 1;
  staleAlways = false;
  oneTime = false;
  password = login.password;

  constructor(algorithm: Digest) {
    this.algorithm = algorithm;
  }

  get nonce(): string {
    return `nonce-${this.nonces}`;
  }

  serve = async ({ req, res, message }: Exchange, wire: ScriptedPrinter) => {
    const asked = await message();
    const header = String(req.headers.authorization ?? "");
    if (!this.guards(asked.code) || (!this.staleAlways && this.#isGood(header))) {
      if (this.oneTime) this.nonces += 1;
      const next = this.oneTime ? { "authentication-info": `nextnonce="${this.nonce}", qop=auth` } : {};
      res.writeHead(200, { "content-type": "application/ipp", ...next }).end(wire.replyTo(asked));
      return;
    }
    this.refused.push(asked.code);
    const stale = this.staleAlways || (header.includes("response=") && !header.includes(`nonce="${this.nonce}"`));
    if (this.staleAlways) this.nonces += 1;
    const digest = `Digest realm="${octets(REALM)}", nonce="${this.nonce}", qop="auth", algorithm=${this.algorithm}`;
    res.setHeader("www-authenticate", ['Basic realm="other"', `${digest}${stale ? ", stale=true" : ""}`]);
    res.writeHead(401, { "content-type": "text/html" }).end("<html>".repeat(200));
  };

  #isGood(header: string): boolean {
    const field = (name: string) => new RegExp(`[ ,]${name}="?([^",]*)`).exec(header)?.[1] ?? "";
    const hash = (text: string) =>
      createHash(this.algorithm === "MD5" ? "md5" : "sha256")
        .update(text, "latin1")
        .digest("hex");
    const secret = hash(`${octets(login.user)}:${octets(REALM)}:${octets(this.password)}`);
    const used = `${field("nonce")}:${field("nc")}:${field("cnonce")}:auth`;
    if (field("nonce") !== this.nonce) return false;
    if (field("response") !== hash(`${secret}:${used}:${hash("POST:/ipp/print")}`)) return false;
    this.counts.push(Number.parseInt(field("nc"), 16));
    return field("username") === octets(login.user);
  }
}

let wire: ScriptedPrinter;
let printer: IppPrinter;
let clock: FakeClock;

beforeEach(async () => {
  wire = await ScriptedPrinter.start();
  clock = new FakeClock();
  printer = newPrinter();
});
afterEach(async () => {
  await printer.stop();
  await wire[Symbol.asyncDispose]();
});

function newPrinter(options: Partial<IppPrinterOptions> = {}): IppPrinter {
  return new IppPrinter({ name: "Hall", uri: wire.uri, keyPins: [], clock, log: silentLog, login, ...options });
}

function gated(algorithm: Digest): DigestGate {
  const gate = new DigestGate(algorithm);
  wire.script = (exchange) => gate.serve(exchange, wire);
  return gate;
}

const codes = () => wire.requests.map(({ code }) => code);
const { getPrinterAttributes, createJob, sendDocument, printJob, validateJob, getJobAttributes } = OPERATION;

describe.each<Digest>(["MD5", "SHA-256"])("Digest with %s, without TLS", (algorithm) => {
  test("one refusal, and then each request carries its login, with a nonce that is counted", async () => {
    const gate = gated(algorithm);
    await printer.state(never);
    const job = await printer.createJob(request, never);
    await printer.send(job, request, document, never);
    await printer.jobStatus({ id: 7, name: "rel-1" }, never);
    expect(codes()).toEqual([getPrinterAttributes, getPrinterAttributes, createJob, sendDocument, getJobAttributes]);
    expect(gate.refused).toEqual([getPrinterAttributes]);
    expect(gate.counts).toEqual([1, 2, 3, 4]);
    // The refusal was read to its end: the polls share one connection, and the document has one of its own.
    expect(wire.connections).toBe(2);
  });

  test("a printer that asks for a login for jobs only, and has no Create-Job: no document meets the refusal", async () => {
    const gate = gated(algorithm);
    gate.guards = (operation) => operation !== getPrinterAttributes;
    const operations = { ...CAPABLE[0], values: CAPABLE[0].values.slice(0, 1) };
    wire.answers[getPrinterAttributes] = { groups: [printerGroup(...IDLE, operations, ...CAPABLE.slice(1))] };
    wire.answers[validateJob] = {};
    await printer.state(never);
    expect(await printer.createJob(request, never)).toBeUndefined();
    await printer.send(undefined, request, document, never);
    expect(codes()).toEqual([getPrinterAttributes, validateJob, validateJob, printJob]);
    expect(gate.refused).toEqual([validateJob]);
    // A moment later it is still known, later it is asked again.
    await printer.send(undefined, request, document, never);
    expect(codes().slice(4)).toEqual([printJob]);
    await clock.advance(31_000);
    await printer.send(undefined, request, document, never);
    expect(codes().slice(5)).toEqual([validateJob, printJob]);
  });

  test("a nonce that ran out costs one more request, one that counts once costs none", async () => {
    const gate = gated(algorithm);
    await printer.state(never);
    gate.nonces += 1;
    await printer.state(never);
    expect([gate.refused.length, gate.counts]).toEqual([2, [1, 1]]);
    gate.oneTime = true;
    await printer.state(never);
    await printer.state(never);
    await printer.send({ id: 7, name: "rel-1" }, request, document, never);
    expect([gate.refused.length, gate.counts]).toEqual([2, [1, 1, 2, 1, 1]]);
  });

  test("a wrong password is tried once, is told by its code, and stays in the status until it is right", async () => {
    const gate = gated(algorithm);
    gate.password = "another";
    const error = await printer.state(never).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "printer-auth-refused", detail: "HTTP 401 to digest" });
    expect(wire.requests).toHaveLength(2);
    expect(printer.error).toBe(error);
    const sending = printer.send({ id: 7, name: "rel-1" }, request, document, never);
    await expect(sending).rejects.toMatchObject({ code: "printer-auth-refused", nothingSent: true });
    expect(codes()).not.toContain(sendDocument);
    gate.password = login.password;
    await printer.state(never);
    expect(printer.error).toBeUndefined();
  });

  test("a printer that asks for ever is asked three times", async () => {
    const gate = gated(algorithm);
    gate.staleAlways = true;
    await expect(printer.state(never)).rejects.toMatchObject({ code: "printer-auth-refused" });
    expect(gate.refused).toHaveLength(3);
  });
});

test("a document that meets a refusal all the same is not sent again", async () => {
  const gate = gated("MD5");
  await printer.state(never);
  gate.nonces += 1;
  const sent = printer.send({ id: 7, name: "rel-1" }, request, document, never);
  await expect(sent).rejects.toMatchObject({ code: "printer-auth-required", nothingSent: false });
  expect(codes().filter((code) => code === sendDocument)).toHaveLength(1);
  await printer.state(never);
  expect(gate.refused).toHaveLength(2);
});

describe("without TLS", () => {
  test("Basic is not answered: the password does not leave", async () => {
    wire.script = ({ res }) => res.writeHead(401, { "www-authenticate": 'Basic realm="x"' }).end();
    await expect(printer.state(never)).rejects.toMatchObject({ code: "printer-auth-unsupported", detail: "basic" });
    await expect(printer.state(never)).rejects.toMatchObject({ code: "printer-auth-unsupported" });
    expect(wire.headers.map(({ authorization }) => authorization)).toEqual([undefined, undefined]);
  });

  test("a login that is not configured is asked for", async () => {
    const none = new IppPrinter({ name: "Hall", uri: wire.uri, keyPins: [], clock, log: silentLog });
    wire.script = ({ res }) => res.writeHead(401, { "www-authenticate": 'Digest realm="x", nonce="n"' }).end();
    await expect(none.state(never)).rejects.toMatchObject({ code: "printer-auth-required", detail: "HTTP 401" });
    expect(wire.headers).toHaveLength(1);
    await none.stop();
  });

  test("a refusal that never ends costs one deadline, and no memory", async () => {
    await printer.stop();
    printer = newPrinter({ clock: systemClock, deadlines: { poll: 300 } });
    let flow = () => {};
    wire.script = ({ res }) => {
      res.writeHead(401, { "www-authenticate": 'Digest realm="x", nonce="n"' });
      flow = () => {
        if (res.destroyed) return;
        res.write("x".repeat(1000));
        setImmediate(flow);
      };
      flow();
    };
    await expect(printer.state(never)).rejects.toBeInstanceOf(Error);
    expect(wire.headers.length).toBeLessThanOrEqual(3);
  });
});

describe("on ipps", () => {
  test("Basic: asked for once, then sent with each request; the password is in no error and no counter", async () => {
    const identity = new Authority().issue();
    const server = await HostileServer.start(identity);
    let isRight = true;
    server.script = (seen) => {
      const basic = `Basic ${Buffer.from(`${login.user}:${login.password}`).toString("base64")}`;
      if (!isRight || seen.headers.get("authorization") !== basic) {
        return answer(seen, 401, "no", { "www-authenticate": 'Basic realm="x", charset="UTF-8"' });
      }
      const { requestId } = decode(seen.body);
      const groups = [printerGroup(...IDLE, ...CAPABLE, keyword("x", "y"))];
      const reply = encode({ version: 0x0200, code: 0, requestId, groups, data: new Uint8Array() });
      answer(seen, 200, reply, { "content-type": "application/ipp" });
    };
    const uri = `ipps://localhost:${server.port}/ipp/print`;
    const secure = newPrinter({ uri, keyPins: [identity.pin], clock: systemClock });
    try {
      await secure.state(never);
      await secure.state(never);
      expect(server.requests.map(({ headers }) => headers.has("authorization"))).toEqual([false, true, true]);
      isRight = false;
      const error = await secure.state(never).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: "printer-auth-refused", detail: "HTTP 401 to basic" });
      expect(server.requests).toHaveLength(4);
      const told = JSON.stringify([error, String(error), secure.counters, secure.error]);
      expect(told).not.toContain("7431");
      expect(told).not.toContain(Buffer.from(login.password).toString("base64").slice(4, 12));
    } finally {
      await Promise.all([secure.stop(), server.stop()]);
    }
  });
});
