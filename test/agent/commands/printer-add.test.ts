import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Invocation } from "../../../agent/commands/command.ts";
import { addPrinter } from "../../../agent/commands/printer-add.ts";
import { type DiscoverSurroundings, discoverPrinters } from "../../../agent/commands/printer-discover.ts";
import { loadConfig } from "../../../agent/config/config.ts";
import { VirtualMfd } from "../../../agent/demo/mfd.ts";
import { systemClock } from "../../../drivers/clock.ts";
import { Authority, type ServerIdentity } from "../../sim/authority.ts";
import { MdnsPrinter, serviceRecords } from "../../sim/mdns-printer.ts";
import { SAMPLE } from "../config/sample.ts";
import { FakeTerminal, invocation } from "./terminal.ts";

const BEFORE = `# Ask Kim before changing.\n${SAMPLE}# end of file\n`;
const UUID = "be8b703d-fc7e-352d-62d6-b6324359fe8f";
/** Of the virtual MFD itself. */
const OWN_UUID = "7e1c5a0e-6f0b-4c53-9a54-6d0c2f7b9e11";
const NO_SNMP = 9; // discard: nobody answers there

let folder: string;
let file: string;
let identity: ServerIdentity;
const stops: (() => unknown)[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "printer-add-"));
  file = join(folder, "printgate.toml");
  await writeFile(file, BEFORE, { mode: 0o600 });
  identity = new Authority().issue();
});
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
  await rm(folder, { recursive: true });
});

async function mfd(tls?: ServerIdentity): Promise<{ port: number }> {
  const started = await VirtualMfd.start({ clock: systemClock, ...(tls === undefined ? {} : { tls }) });
  stops.push(() => started.stop());
  return { port: Number(new URL(started.uri).port) };
}

/** A network in which one printer advertises itself, on the given ports. */
async function network(ports: Readonly<Record<string, number>>, name?: string): Promise<DiscoverSurroundings> {
  const txt = ["rp=ipp/print", "ty=ACME Laser", `UUID=${UUID}`, "pdl=application/pdf"];
  const records = Object.entries(ports).flatMap(([type, port]) => serviceRecords(type, port, txt, name));
  const responder = await MdnsPrinter.start((question) => (question.endsWith("._tcp.local") ? records : []));
  stops.push(() => responder.stop());
  return { clock: systemClock, network: responder.network, snmpPort: NO_SNMP };
}

const NOWHERE: DiscoverSurroundings = { clock: systemClock, network: { interfaces: [] }, snmpPort: NO_SNMP };

async function add(
  word: string | undefined,
  options: Invocation["options"] = {},
  answers?: readonly string[],
  around = NOWHERE,
) {
  const terminal = new FakeTerminal(answers);
  const given = invocation(terminal, ["add"], { config: file, seconds: "1", ...options });
  const outcome = await addPrinter(given, word, around).catch((error: unknown) => error);
  const text = await readFile(file, "utf8");
  expect(text.startsWith(BEFORE)).toBe(true);
  return { outcome, terminal, added: text.slice(BEFORE.length) };
}

describe("a printer by its URI", () => {
  test("ipps: it is asked, its key is shown and pinned, and the file has one more table", async () => {
    const { port } = await mfd(identity);
    const uri = `ipps://localhost:${port}/ipp/print`;
    const { outcome, terminal, added } = await add(uri, {}, ["yes"]);
    expect(outcome).toBe(0);
    expect(terminal.text).toContain(`printer      ${uri} is idle`);
    expect(added).toBe(
      `\n[[printer]]\nname = "mfd-2"\nuri = "${uri}"\nuuid = "${OWN_UUID}"\nkey_pins = ["${identity.pin}"]\n`,
    );
    expect((await loadConfig(file)).printers[1]).toMatchObject({ name: "mfd-2", uri, keyPins: [identity.pin] });
    expect(terminal.results).toMatchObject([{ written: true, name: "mfd-2", uri, key: { keyPin: identity.pin } }]);
    // The same again is a mistake.
    const twice = await addPrinter(invocation(new FakeTerminal(["yes"]), [], { config: file }), uri, NOWHERE).catch(
      (error: unknown) => error,
    );
    expect(twice).toMatchObject({ code: "printer-configured", detail: "mfd-2" });
  });

  test("with nobody there; with SNMP, another name, a relaxation; --dry-run", async () => {
    const { port } = await mfd(identity);
    const uri = `ipps://localhost:${port}/ipp/print`;
    expect((await add(uri, { yes: true })).outcome).toMatchObject({ code: "usage" });
    expect((await add(uri, { yes: true, expect: `sha256/${"A".repeat(43)}=` })).outcome).toMatchObject({
      code: "printer-key-unexpected",
    });
    expect((await add(uri, { "tls-allow": ["ssl3"] })).outcome).toMatchObject({ code: "usage" });
    const sure = { yes: true, expect: identity.pin, name: "hall", snmp: true, "tls-allow": ["tls1.1"] };
    const dry = await add(uri, { ...sure, "dry-run": true });
    expect([dry.outcome, dry.added]).toEqual([0, ""]);
    const toml = `[[printer]]\nname = "hall"\nuri = "${uri}"\nuuid = "${OWN_UUID}"\nkey_pins = ["${identity.pin}"]\ntls_allow = ["tls1.1"]\n\n[printer.snmp]`;
    expect(dry.terminal.lines.at(-1)).toBe(toml);
    expect((await add(uri, sure)).added).toBe(`\n${toml}\n`);
  });

  test("ipp is taken when it was written so, and it is said what that means", async () => {
    const { port } = await mfd();
    const { outcome, terminal, added } = await add(`ipp://127.0.0.1:${port}/ipp/print`, { yes: true });
    expect([outcome, added.includes("key_pins")]).toEqual([0, false]);
    expect(terminal.text).toContain("ipp is not encrypted");
  });

  test.each([
    ["http://127.0.0.1/", "usage"],
    ["ipp://user:secret@127.0.0.1/", "usage"],
    ["ipps://127.0.0.1:1/ipp/print", "printer-unreachable"],
    ["ipp://10.0.0.20/ipp/print", "printer-configured"],
  ])("%s is not added: %s", async (uri, code) => {
    const { outcome, added } = await add(uri, {}, ["yes"]);
    expect(outcome).toMatchObject({ code });
    expect(added).toBe("");
    expect(String(outcome)).not.toContain("secret");
  });

  test("a name that is taken", async () => {
    expect((await add("ipp://127.0.0.1:1/", { name: "mfd-1" })).outcome).toMatchObject({ code: "printer-configured" });
  });
});

describe("a printer that advertises itself", () => {
  test("is shown with model, address, uuid, formats, key and what answers, and added by its uuid", async () => {
    const [secure, plain] = [await mfd(identity), await mfd()];
    const around = await network({ "_ipps._tcp": secure.port, "_ipp._tcp": plain.port });
    const terminal = new FakeTerminal();
    expect(await discoverPrinters(invocation(terminal, ["discover"], { seconds: "1" }), around)).toBe(0);
    expect(terminal.lines).toEqual([
      "Lobby Laser (ACME Laser)",
      "  address  127.0.0.1 acme.local",
      `  uuid     ${UUID}`,
      "  formats  application/pdf",
      `  ipp      ipps://127.0.0.1:${secure.port}/ipp/print idle`,
      `  key      ${identity.pin} (ec prime256v1, TLSv1.3)`,
      `  ipp      ipp://127.0.0.1:${plain.port}/ipp/print idle (not encrypted)`,
      "  snmp     no answer to version 2c, community public",
    ]);
    expect(terminal.results).toMatchObject([{ printers: [{ uuid: UUID, snmp: false, probes: [{}, {}] }] }]);

    const { outcome, added } = await add(`urn:uuid:${UUID}`, { yes: true, expect: identity.pin }, undefined, around);
    expect(outcome).toBe(0);
    expect(added).toContain(
      `uri = "ipps://127.0.0.1:${secure.port}/ipp/print"\nuuid = "${OWN_UUID}"\nkey_pins = ["${identity.pin}"]`,
    );
  });

  test("without encryption it is taken with --plain only", async () => {
    const { port } = await mfd();
    const around = await network({ "_ipp._tcp": port });
    expect((await add("lobby laser", {}, [], around)).outcome).toMatchObject({ code: "usage", detail: /--plain/ });
    expect((await add("ACME", { plain: true }, [], around)).outcome).toBe(0);
  });

  test("it is picked, or named, or there is none", async () => {
    const { port } = await mfd(identity);
    const around = await network({ "_ipps._tcp": port });
    expect((await add("another", {}, [], around)).outcome).toMatchObject({ code: "printer-not-found" });
    expect((await add(undefined, { yes: true }, [], around)).outcome).toMatchObject({ code: "usage" });
    expect((await add(undefined, {}, ["2"], around)).outcome).toMatchObject({ code: "usage" });
    expect((await add(undefined, {}, ["1", "yes"], around)).outcome).toBe(0);
    expect((await add("x", {}, [])).outcome).toMatchObject({ code: "printer-network-unheard", detail: "ENETUNREACH" });
  });

  test("nobody: it is said how else", async () => {
    const responder = await MdnsPrinter.start(() => []);
    stops.push(() => responder.stop());
    const terminal = new FakeTerminal();
    const around = { clock: systemClock, network: responder.network };
    expect(await discoverPrinters(invocation(terminal, [], { seconds: "1" }), around)).toBe(1);
    expect(terminal.text).toContain("printgate printer add ipps://HOST/ipp/print");
  });
});
