import { chmod, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Invocation } from "../../../agent/commands/command.ts";
import { command } from "../../../agent/commands/printer.ts";
import { loadConfig } from "../../../agent/config/config.ts";
import { Authority, type ServerIdentity } from "../../sim/authority.ts";
import { HostileServer } from "../../sim/tls-server.ts";
import { SAMPLE } from "../config/sample.ts";
import { FakeTerminal, invocation } from "./terminal.ts";

let first: ServerIdentity;
let second: ServerIdentity;
let printer: HostileServer;
let folder: string;
let file: string;
const stops: (() => unknown)[] = [];

beforeAll(() => {
  const authority = new Authority();
  [first, second] = [authority.issue(), authority.issue()];
});

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "printer-trust-"));
  file = join(folder, "printgate.toml");
  printer = await serve(first);
  await writeFile(file, withPrinter(printer.port), { mode: 0o600 });
});

afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
  await rm(folder, { recursive: true });
});

async function serve(identity: ServerIdentity): Promise<HostileServer> {
  const server = await HostileServer.start(identity);
  stops.push(() => server.stop());
  return server;
}

/** The sample's printer stays; a second one has a comment at its uri, and a table below it. */
function withPrinter(port: number, scheme = "ipps", more = ""): string {
  return `# Ask Kim before changing.\n${SAMPLE}
[[printer]] # by the window
name = "mfd-2"
uri = "${scheme}://localhost:${port}/ipp/print" # do not change
${more}content_length = true

[printer.snmp]
community = "floor2"

# end of file
`;
}

async function trust(options: Invocation["options"] = {}, answers?: readonly string[], name = "mfd-2") {
  const terminal = new FakeTerminal(answers);
  const outcome = await Promise.resolve(
    command.run(invocation(terminal, ["trust", name], { config: file, ...options })),
  ).catch((error: unknown) => error);
  return { outcome, terminal, text: await readFile(file, "utf8") };
}

describe("an untrusted printer", () => {
  test("its key is shown, accepted, and pinned; every other byte of the file and its mode stay", async () => {
    await chmod(file, 0o400);
    const before = await readFile(file, "utf8");
    const { outcome, terminal, text } = await trust({}, ["yes"]);
    expect(outcome).toBe(0);
    expect(terminal.text).toContain(`key          ${first.pin} (ec prime256v1)`);
    expect(terminal.text).toContain("certificate  CN=server\n  issued by  CN=Test CA\n");
    expect(terminal.text).toMatch(/sha-256 {4}([0-9A-F]{2}:){31}[0-9A-F]{2}\nconnection {3}TLSv1\.3, /);
    const line = `key_pins = ["${first.pin}"]\n`;
    expect(text).toBe(before.replace("# do not change\n", `# do not change\n${line}`));
    expect((await stat(file)).mode & 0o777).toBe(0o400);
    expect((await loadConfig(file)).printers.map(({ keyPins }) => keyPins)).toEqual([[], [first.pin]]);
    expect(terminal.results).toMatchObject([{ written: true, name: "mfd-2", key: { keyPin: first.pin }, pinned: [] }]);
    // Not one byte but the handshake went to it.
    expect(printer.received).toBe(0);
  });

  test.each([["no"], ["y"], [""]])("the answer %j is no", async (answer) => {
    const before = await readFile(file, "utf8");
    const { outcome, text } = await trust({}, [answer]);
    expect(outcome).toMatchObject({ code: "printer-key-declined" });
    expect(text).toBe(before);
  });

  test("with nobody there, the expected key is needed, and must be the one", async () => {
    const before = await readFile(file, "utf8");
    expect((await trust()).outcome).toMatchObject({ code: "usage" });
    expect((await trust({ yes: true })).outcome).toMatchObject({ code: "usage" });
    expect((await trust({ yes: true, expect: "sha256/short" })).outcome).toMatchObject({ code: "usage" });
    const wrong = await trust({ yes: true, expect: second.pin });
    expect(wrong.outcome).toMatchObject({ code: "printer-key-unexpected", detail: first.pin });
    expect(wrong.text).toBe(before);
    expect((await trust({ yes: true, expect: first.pin })).outcome).toBe(0);
  });

  test("--dry-run shows and writes nothing", async () => {
    const before = await readFile(file, "utf8");
    const { outcome, terminal, text } = await trust({ "dry-run": true }, ["yes"]);
    expect([outcome, text]).toEqual([0, before]);
    expect(terminal.text).toContain(`Would write key_pins = ["${first.pin}"]`);
  });
});

describe("a trusted printer", () => {
  const pinned = (pin: string) => withPrinter(printer.port, "ipps", `key_pins = [ # old\n  "${pin}",\n]\n`);

  test("with the key that it had: nothing is to be done", async () => {
    await writeFile(file, pinned(first.pin), { mode: 0o600 });
    const { outcome, terminal, text } = await trust();
    expect([outcome, text]).toEqual([0, pinned(first.pin)]);
    expect(terminal.text).toContain("trusted already");
  });

  test("with another key: old and new are shown, and it is taken with --replace only", async () => {
    await writeFile(file, pinned(second.pin), { mode: 0o600 });
    const refused = await trust({}, ["yes"]);
    expect(refused.outcome).toMatchObject({ code: "printer-key-changed", detail: `mfd-2 shows ${first.pin}` });
    expect(refused.terminal.text).toContain(
      `THE KEY HAS CHANGED.\n  was        ${second.pin}\n  is now     ${first.pin}`,
    );
    expect(refused.text).toBe(pinned(second.pin));
    const { outcome, text } = await trust({ replace: true }, ["yes"]);
    expect(outcome).toBe(0);
    expect(text).toBe(withPrinter(printer.port, "ipps", `key_pins = ["${first.pin}"]\n`));
  });
});

test.each([
  ["no such printer", "ipps", "mfd-9", "printer-not-configured"],
  ["a printer without encryption, which is not asked at all", "ipp", "mfd-2", "printer-not-encrypted"],
])("%s", async (_what, scheme, name, code) => {
  await writeFile(file, withPrinter(printer.port, scheme), { mode: 0o600 });
  expect((await trust({}, ["yes"], name)).outcome).toMatchObject({ code });
  expect(printer.accepted).toBe(0);
});

test("a port that speaks no TLS, and one where nobody is", async () => {
  const plain = await HostileServer.start(undefined);
  stops.push(() => plain.stop());
  plain.script = ({ socket }) => socket.end("HTTP/1.1 400 X\r\n\r\n");
  await writeFile(file, withPrinter(plain.port), { mode: 0o600 });
  const answer = plain
    .until(() => plain.connections.length > 0)
    .then(() => {
      plain.connections[0]?.socket.write("HTTP/1.1 400 Bad Request\r\n\r\n");
    });
  expect((await trust({}, ["yes"])).outcome).toMatchObject({ code: "printer-tls-refused" });
  await answer;
  await printer.stop();
  await writeFile(file, withPrinter(printer.port), { mode: 0o600 });
  expect((await trust({}, ["yes"])).outcome).toMatchObject({ code: "printer-unreachable" });
});

test("a table that is written inline is left to its owner", async () => {
  const inline = SAMPLE.replace(/\[\[printer\]\]\n(.+\n)+/, "");
  const head = `printer = [{ name = "mfd-1", uri = "ipps://localhost:${printer.port}/ipp" }]\n`;
  await writeFile(file, `${head}${inline}`, { mode: 0o600 });
  expect((await trust({}, ["yes"], "mfd-1")).outcome).toMatchObject({ code: "config-not-writable" });
});
