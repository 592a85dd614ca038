import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import {
  CertificateUntrusted,
  ConnectTimeout,
  inspectTls,
  KEY_PIN,
  KeyPinMismatch,
  KeyTooWeak,
  openTcp,
  openTls,
  type TlsRelaxation,
} from "../../../drivers/transports/tls.ts";
import { Authority, type ServerIdentity } from "../../sim/authority.ts";
import { HostileServer, relay } from "../../sim/tls-server.ts";

let authority: Authority;
let identity: ServerIdentity;
const stops: (() => unknown)[] = [];

beforeAll(() => {
  authority = new Authority();
  identity = authority.issue();
});

afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

async function server(...args: Parameters<typeof HostileServer.start>): Promise<HostileServer> {
  const started = await HostileServer.start(...args);
  stops.push(() => started.stop());
  return started;
}

async function open(
  port: number,
  keyPins: readonly string[] = [identity.pin],
  timeoutMs = 5_000,
  signal?: AbortSignal,
) {
  const socket = await openTls({ host: "localhost", port }, { ca: authority.pem, keyPins }, timeoutMs, signal);
  stops.push(() => socket.destroy());
  return socket;
}

const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => "it opened",
    (error: unknown) => error,
  );

describe("a TLS connection with a CA and key pins", () => {
  it("opens to a server that has both", async () => {
    const there = await server(identity);
    const socket = await open(there.port, ["sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", identity.pin]);
    expect(socket.getProtocol()).toBe("TLSv1.3");
    expect(identity.pin).toMatch(KEY_PIN);
  });

  it("names the key that it saw when it is not pinned", async () => {
    const there = await server(identity);
    const error = await failure(open(there.port, []));
    expect(error).toBeInstanceOf(KeyPinMismatch);
    expect(error).toMatchObject({ seen: identity.pin });
  });

  it("says what is wrong with a certificate", async () => {
    const other = new Authority("Other CA").issue();
    const cases: [ServerIdentity, string][] = [
      [other, "UNABLE_TO_VERIFY_LEAF_SIGNATURE"],
      [authority.issue({ fromDay: -2, toDay: -1 }), "CERT_HAS_EXPIRED"],
      [authority.issue({ fromDay: 1, toDay: 2 }), "CERT_NOT_YET_VALID"],
      [authority.issue({ hosts: ["elsewhere.example"] }), "ERR_TLS_CERT_ALTNAME_INVALID"],
      [authority.forge(), "CERT_SIGNATURE_FAILURE"],
    ];
    for (const [wrong, code] of cases) {
      const there = await server(wrong);
      const error = await failure(open(there.port, [wrong.pin]));
      expect(error).toBeInstanceOf(CertificateUntrusted);
      expect(error).toMatchObject({ code });
      expect(there.received).toBe(0);
    }
  });

  it("does not call another failure a wrong certificate", async () => {
    const there = await server(undefined);
    there.connections.length = 0;
    const opening = failure(open(there.port));
    await there.until(() => there.connections.length === 1);
    there.connections[0]?.socket.end("HTTP/1.1 400 Bad Request\r\n\r\n");
    expect(await opening).not.toBeInstanceOf(CertificateUntrusted);
  });

  it("closes when somebody on the way puts bytes behind the handshake", async () => {
    const forged = Buffer.from("1703030020".padEnd(74, "5a"), "hex");
    const warning = Buffer.from("15030300020164", "hex");
    for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
      for (const junk of [forged, warning, Buffer.from("no TLS record at all")]) {
        const there = await server(identity, { maxVersion });
        // The server's last flight is its second in TLS 1.2 and its first in 1.3.
        const last = maxVersion === "TLSv1.2" ? 1 : 0;
        const between = await relay(there.port, (bytes, flight) =>
          flight === last ? Buffer.concat([bytes, junk]) : bytes,
        );
        stops.push(() => between.stop());
        const socket = await open(between.port).catch(() => undefined);
        if (socket === undefined || socket.closed) continue;
        socket.resume();
        await new Promise((resolve) => socket.on("close", resolve));
      }
    }
  });
});

describe("a connection that does not come", () => {
  it("ends at its deadline when the server stays silent in the handshake", async () => {
    const there = await server(undefined);
    expect(await failure(open(there.port, [identity.pin], 20))).toBeInstanceOf(ConnectTimeout);
    await there.until(() => there.open === 0);
  });

  it("ends when it is given up, before and while connecting", async () => {
    const there = await server(undefined);
    expect(await failure(open(there.port, [], 5_000, AbortSignal.abort()))).toBeInstanceOf(Error);
    const stop = new AbortController();
    const opening = failure(open(there.port, [], 5_000, stop.signal));
    await there.until(() => there.open > 0);
    stop.abort();
    expect(await opening).toBeInstanceOf(Error);
    await there.until(() => there.open === 0);
  });

  it("is refused with the system's code", async () => {
    const there = await server(undefined);
    const { port } = there;
    await there.stop();
    expect(await failure(openTcp({ host: "127.0.0.1", port }, 5_000))).toMatchObject({ code: "ECONNREFUSED" });
  });
});

/** `openssl s_server` as a printer of another time; resolves with its port. */
async function oldServer(bits: number, ...words: string[]): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "printgate-tls-"));
  stops.push(() => rmSync(folder, { recursive: true }));
  const pem = ["-keyout", "key", "-out", "cert"];
  const request = ["req", "-x509", "-newkey", `rsa:${bits}`, "-nodes", ...pem, "-subj", "/O=ACME/CN=Laser\\0A1"];
  execFileSync("openssl", request, { cwd: folder, stdio: "ignore" });
  // At level 0 it takes what it is asked for, whatever its age.
  const serve = ["s_server", "-accept", "0", "-cert", "cert", "-key", "key", "-cipher", "DEFAULT@SECLEVEL=0"];
  const child: ChildProcess = spawn("openssl", [...serve, ...words], {
    cwd: folder,
    stdio: ["pipe", "pipe", "ignore"],
  });
  stops.push(async () => {
    const gone = once(child, "exit");
    child.kill("SIGKILL");
    await gone;
  });
  let output = "";
  for await (const piece of child.stdout ?? []) {
    output += piece;
    const port = /ACCEPT .*:(\d+)/.exec(output)?.[1];
    if (port !== undefined) return Number(port);
  }
  throw new Error(`s_server ended: ${output}`);
}

describe("a peer that can do no better", () => {
  const look = (port: number, ...allow: TlsRelaxation[]) => inspectTls({ host: "127.0.0.1", port }, allow, 5_000);
  const none = (promise: Promise<unknown>) => expect(promise).rejects;

  it.each<[string, string, TlsRelaxation, TlsRelaxation[]]>([
    ["-tls1", "TLSv1", "tls1.0", ["tls1.1", "rsa1024"]],
    ["-tls1_1", "TLSv1.1", "tls1.1", ["rsa1024"]],
  ])("%s is spoken only where it is allowed by name", async (version, protocol, allow, others) => {
    const port = await oldServer(2048, version);
    await none(look(port)).toMatchObject({ code: expect.stringMatching(/^ERR_SSL_.*PROTOCOL/) });
    await none(look(port, ...others)).toMatchObject({ code: expect.stringMatching(/^ERR_SSL_.*PROTOCOL/) });
    const seen = await look(port, allow);
    expect(seen).toMatchObject({ protocol, keyType: "rsa 2048" });
    const socket = await openTls({ host: "127.0.0.1", port }, { keyPins: [seen.keyPin], allow: [allow] }, 5_000);
    expect(socket.getProtocol()).toBe(protocol);
    socket.destroy(); // s_server serves one after the other
    // The pin counts as ever.
    const wrong = openTls({ host: "127.0.0.1", port }, { keyPins: [identity.pin], allow: [allow] }, 5_000);
    await none(wrong).toBeInstanceOf(KeyPinMismatch);
  });

  it("a key of 1024 bits is taken only where it is allowed by name, one of 512 never", async () => {
    const port = await oldServer(1024);
    await none(look(port, "tls1.0", "tls1.1")).toBeInstanceOf(KeyTooWeak);
    const { keyPin } = await look(port, "rsa1024");
    const trust = { keyPins: [keyPin] };
    await none(openTls({ host: "127.0.0.1", port }, trust, 5_000)).toMatchObject({ bits: 1024 });
    const socket = await openTls({ host: "127.0.0.1", port }, { ...trust, allow: ["rsa1024"] }, 5_000);
    stops.push(() => socket.destroy());
    await none(look(await oldServer(512, "-tls1_2"), "rsa1024")).toThrow();
  });

  it("allowing old versions takes no new one away", async () => {
    const there = await server(identity);
    expect((await look(there.port, "tls1.0")).protocol).toBe("TLSv1.3");
    expect((await look(there.port)).protocol).toBe("TLSv1.3");
  });

  it("what it writes into its certificate stays on one line", async () => {
    const port = await oldServer(2048);
    const { subject } = await look(port);
    expect(subject).toMatch(/^[\x20-\x7e]+$/);
    expect(subject).toContain("O=ACME");
  });
});
