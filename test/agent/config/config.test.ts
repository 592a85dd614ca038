import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { toCardNumber } from "../../../agent/cards/pipeline.ts";
import { configPath, loadConfig, parseConfig } from "../../../agent/config/config.ts";
import { CONFIG_CODES, ConfigError, type ConfigProblem, describeProblem } from "../../../agent/config/config-error.ts";
import { Name } from "../../../agent/protocol/schema.ts";
import type { ReaderSettings } from "../../../drivers/readers/open-reader.ts";
import { PASSWORD, SAMPLE } from "./sample.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "printgate-config-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

async function failure(run: Promise<unknown>): Promise<ConfigError> {
  const error = await run.then(
    () => new Error("nothing was thrown"),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof ConfigError)) throw error;
  return error;
}

const problems = async (toml: string): Promise<readonly ConfigProblem[]> =>
  (await failure(parseConfig(toml, "p.toml"))).problems;
/** The sample with one text replaced by another. */
const having = (before: string, after: string): string => {
  expect(SAMPLE).toContain(before);
  return SAMPLE.replace(before, after);
};
const lineOf = (toml: string, text: string): number => toml.slice(0, toml.indexOf(text)).split("\n").length;

const SNMP = { version: "2c", authProtocol: "sha256", privProtocol: "aes", context: "" };

describe("a good configuration", () => {
  it("is ready for use", async () => {
    const { agent, central, printers, readers } = await parseConfig(SAMPLE, "p.toml");
    expect(agent).toEqual({
      stateDir: "/var/lib/printgate",
      logLevel: "info",
      spoolRamMib: 32,
    });
    expect(central).toEqual({ url: "https://print.example:8443" });
    expect(printers).toEqual([
      {
        name: "mfd-1",
        uri: "ipp://10.0.0.20/ipp/print",
        keyPins: [],
        tlsAllow: [],
        contentLength: false,
        quirks: [],
        user: "printgate",
        password: "between us and the printer",
        snmp: undefined,
      },
    ]);
    const settings: readonly ReaderSettings[] = readers;
    expect(settings.map(({ family }) => family)).toEqual(["tcp-line", "serial-line", "hid-keyboard"]);
    expect(readers[0]).toMatchObject({
      listen: { host: "127.0.0.1", port: 7778 },
      allow: [],
      preset: "generic",
      maxReadsPer10s: 5,
    });
    // What the preset fills in is left out.
    expect(readers[0]).not.toHaveProperty("framing");
    expect(readers[1]).toMatchObject({ path: "/dev/ttyUSB0", repeatHoldMs: 1500 });
    expect(readers[2]).toMatchObject({ vendorId: 0x09d8, productId: 0x0410, terminators: ["enter", "keypad-enter"] });
    expect(readers.map(({ pipeline }) => toCardNumber(pipeline, { kind: "text", text: " 04A2B3C4 " }))).toEqual([
      "04A2B3C4",
      "0077771716",
      "04A2B3C4",
    ]);
  });

  it("may have an ipps printer whose key is not trusted yet, and one that needs a login and old TLS", async () => {
    const table = `[[printer]]\nname = "b"\nuri = "ipps://b/ipp"\ntls_allow = ["tls1.0", "rsa1024"]\nuser = "Zoë"\npassword = "a: b"\n\n[[reader]]`;
    const { printers } = await parseConfig(having("[[reader]]", table), "p.toml");
    expect(printers[1]).toMatchObject({ keyPins: [], tlsAllow: ["tls1.0", "rsa1024"], user: "Zoë", password: "a: b" });
  });

  it("asks the printer's own host by SNMP unless another is named", async () => {
    const table = `[printer.snmp]\ncommunity = "floor2"\n\n[[printer]]\nname = "mfd-2"\nuri = "ipps://[2001:db8::5]:443/ipp"
key_pins = ["sha256/${"C".repeat(43)}="]\n[printer.snmp]\n\n[[printer]]\nname = "mfd-3"\nuri = "ipp://mfd-3.example/"
snmp = { host = "10.9.9.9", port = 1161 }\n\n[[reader]]`;
    const { printers } = await parseConfig(having("[[reader]]", table), "p.toml");
    expect(printers.map(({ snmp }) => snmp)).toEqual([
      { host: "10.0.0.20", port: 161, community: "floor2", ...SNMP },
      { host: "2001:db8::5", port: 161, community: "public", ...SNMP },
      { host: "10.9.9.9", port: 1161, community: "public", ...SNMP },
    ]);
  });

  it.each([
    ['version = "3"\nuser = "monitor"', undefined],
    ['version = "3"\nuser = "m"\nauth_password = "12345678"\npriv_password = "87654321"', undefined],
    ['version = "3"', "version"],
    ['version = "3"\nuser = "m"\ncommunity = "public"', "community"],
    ['version = "3"\nuser = "m"\npriv_password = "87654321"', "priv_password"],
    ['user = "monitor"', "user"],
    ['auth_password = "12345678"', "auth_password"],
    ['version = "3"\nuser = "m"\nauth_password = "1234567"', "auth_password"],
  ])("an SNMP table with %j is told what is wrong with it: %s", async (keys, wrong) => {
    const parsed = parseConfig(having("[[reader]]", `[printer.snmp]\n${keys}\n\n[[reader]]`), "p.toml");
    if (wrong === undefined) expect((await parsed).printers[0]?.snmp).toBeDefined();
    else await expect(parsed).rejects.toMatchObject({ problems: [{ key: expect.stringMatching(`${wrong}$`) }] });
  });

  it("takes the names that the protocol takes", async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: fc.constantFrom(..."aZ0._- é"), maxLength: 70 }), async (name) => {
        const accepted = parseConfig(having('"front"', JSON.stringify(name)), "p.toml").then(
          () => true,
          () => false,
        );
        expect(await accepted).toBe(Name.safeParse(name).success);
      }),
      { numRuns: 30 },
    );
  });
});

describe("a mistake is told with its line, its key and what was probably meant", () => {
  it.each<[string, string, string, Partial<ConfigProblem>]>([
    [
      "a misspelt key",
      "listen =",
      "lisen =",
      { code: "config-unknown-key", key: "[[reader]] lisen", suggestion: "did you mean listen?" },
    ],
    [
      "a key of another family",
      "listen =",
      "baud_rate = 1\nlisten =",
      { code: "config-unknown-key", key: "[[reader]] baud_rate" },
    ],
    [
      "a misspelt table",
      "[agent]",
      "[agnet]",
      { code: "config-unknown-key", key: "[agnet]", suggestion: "did you mean agent?" },
    ],
    [
      "a misspelt list of tables",
      "[[printer]]",
      "[[printers]]",
      { code: "config-unknown-key", key: "[[printers]]", suggestion: "did you mean printer?" },
    ],
    [
      "an unknown inner table",
      "[[reader]]",
      "[printer.smnp]\nport = 1\n[[reader]]",
      { code: "config-unknown-key", key: "[printer.smnp]", suggestion: "did you mean snmp?" },
    ],
    [
      "a text where a number belongs",
      "0x09d8",
      '"09d8"',
      { code: "config-wrong-value", key: "[[reader]] vendor_id", message: "must be a whole number from 0 to 65535" },
    ],
    ["a number out of range", "0x0410", "0x10410", { code: "config-wrong-value", key: "[[reader]] product_id" }],
    [
      "a fraction",
      'log_level = "info"',
      'log_level = "info"\nspool_ram_mib = 1.5',
      { code: "config-wrong-value", key: "[agent] spool_ram_mib" },
    ],
    [
      "an address without a port",
      'log_level = "info"',
      'log_level = "info"\nsnmp_traps = "10.0.0.5"',
      { code: "config-wrong-value", key: "[agent] snmp_traps" },
    ],
    [
      "a misspelt word",
      'log_level = "info"',
      'log_level = "wran"',
      { code: "config-wrong-value", suggestion: 'did you mean "warn"?' },
    ],
    [
      "a misspelt family",
      '"serial-line"',
      '"seral-line"',
      { code: "config-wrong-value", key: "[[reader]] family", suggestion: 'did you mean "serial-line"?' },
    ],
    ["a value where a table belongs", '[agent]\nlog_level = "info"', "agent = 3", { code: "config-wrong-value" }],
    ["plain http", "https://print", "http://print", { code: "config-wrong-value", key: "[central] url" }],
    ...["/v1", "?a", "#a"].map((rest): [string, string, string, Partial<ConfigProblem>] => [
      `a central server's URL with ${rest}`,
      'example:8443"',
      `example:8443${rest}"`,
      { code: "config-wrong-value", key: "[central] url" },
    ]),
    [
      "a key of an earlier version",
      "[central]",
      '[central]\nbearer_key = "abc"',
      { code: "config-unknown-key", key: "[central] bearer_key" },
    ],
    ["a user", "https://print", "https://me@print", { code: "config-wrong-value", key: "[central] url" }],
    [
      "no IPP URI",
      "ipp://10.0.0.20/ipp/print",
      "http://10.0.0.20:631/",
      { code: "config-wrong-value", key: "[[printer]] uri" },
    ],
    [
      "ipp with a key pin",
      "[[reader]]",
      `[[printer]]\nname = "b"\nuri = "ipp://b/"\nkey_pins = ["sha256/${"A".repeat(43)}="]\n[[reader]]`,
      { code: "config-conflict", key: "[[printer]] key_pins" },
    ],
    [
      "ipp with a TLS relaxation",
      "[[reader]]",
      `[[printer]]\nname = "b"\nuri = "ipp://b/"\ntls_allow = ["tls1.0"]\n[[reader]]`,
      { code: "config-conflict", key: "[[printer]] tls_allow" },
    ],
    [
      "a TLS relaxation that there is not",
      "[[reader]]",
      `[[printer]]\nname = "b"\nuri = "ipps://b/"\ntls_allow = ["ssl3"]\n[[reader]]`,
      { code: "config-wrong-value", key: "[[printer]] tls_allow" },
    ],
    [
      "a printer's user without a password",
      "[[reader]]",
      `[[printer]]\nname = "b"\nuri = "ipp://b/"\nuser = "u"\n[[reader]]`,
      { code: "config-conflict", key: "[[printer]] user" },
    ],
    [
      "a printer's password without a user",
      "[[reader]]",
      `[[printer]]\nname = "b"\nuri = "ipp://b/"\npassword = "p"\n[[reader]]`,
      { code: "config-conflict", key: "[[printer]] password" },
    ],
    [
      "a printer's user with a colon",
      "[[reader]]",
      `[[printer]]\nname = "b"\nuri = "ipp://b/"\nuser = "a:b"\npassword = "p"\n[[reader]]`,
      { code: "config-wrong-value", key: "[[printer]] user" },
    ],
    [
      "a reader on no printer",
      'printer = "mfd-1"\nlisten',
      'printer = "mdf-1"\nlisten',
      { code: "config-unknown-printer", key: "[[reader]] printer", suggestion: 'did you mean "mfd-1"?' },
    ],
    ["two readers of one name", '"side"', '"front"', { code: "config-duplicate", key: "[[reader]] name" }],
    [
      "nine printers",
      "[[reader]]",
      `${Array.from({ length: 8 }, (_, at) => `[[printer]]\nname = "p-${at}"\nuri = "ipp://p-${at}/"\n`).join("")}[[reader]]`,
      { code: "config-wrong-value", message: expect.stringContaining("at most 8") },
    ],
    [
      "no uuid",
      'ipp://10.0.0.20/ipp/print"',
      'ipp://10.0.0.20/ipp/print"\nuuid = "urn:uuid:1"',
      { code: "config-wrong-value", key: "[[printer]] uuid" },
    ],
    [
      "two printers of one name",
      "[[reader]]",
      '[[printer]]\nname = "mfd-1"\nuri = "ipp://b/"\n[[reader]]',
      { code: "config-duplicate", key: "[[printer]] name" },
    ],
    [
      "two readers on one device",
      'family = "hid-keyboard"',
      'family = "serial-line"\npath = "/dev/ttyUSB0"',
      { code: "config-duplicate", key: "[[reader]] family" },
    ],
    [
      "two readers of one kind, one by its default ids",
      'family = "hid-keyboard"\nprinter = "mfd-1"\nvendor_id = 0x09d8\nproduct_id = 0x0410',
      'family = "rfideas-sdk"\nprinter = "mfd-1"\n[[reader]]\nname = "also"\nfamily = "rfideas-sdk"\nprinter = "mfd-1"\nvendor_id = 0x0c27',
      { code: "config-duplicate", key: "[[reader]] family" },
    ],
    [
      "a smart-card reader of any name",
      'family = "hid-keyboard"\nprinter = "mfd-1"\nvendor_id = 0x09d8\nproduct_id = 0x0410',
      'family = "pcsc"\nprinter = "mfd-1"\nreader_name = ""',
      { code: "config-wrong-value", key: "[[reader]] reader_name" },
    ],
    [
      "neither listen nor connect",
      'listen = "127.0.0.1:7778"',
      "",
      { code: "config-conflict", key: "[[reader]] family" },
    ],
    [
      "listen and connect",
      "listen =",
      'connect = "10.0.0.7:2000"\nlisten =',
      { code: "config-conflict", key: "[[reader]] connect" },
    ],
    [
      "an rfideas-acp reader that is nowhere",
      'family = "serial-line"\nprinter = "mfd-1"\npath = "/dev/ttyUSB0"\npipeline = \'trim | hexDecode | toDec(10)\'',
      'family = "rfideas-acp"\nprinter = "mfd-1"',
      { code: "config-conflict", key: "[[reader]] family", message: "rfideas-acp needs path or connect" },
    ],
    [
      "an rfideas-acp reader in two places",
      'family = "serial-line"\nprinter = "mfd-1"\npath = "/dev/ttyUSB0"\npipeline = \'trim | hexDecode | toDec(10)\'',
      'family = "rfideas-acp"\nprinter = "mfd-1"\npath = "/dev/ttyACM0"\nconnect = "10.0.0.7:2000"',
      { code: "config-conflict", key: "[[reader]] connect" },
    ],
    [
      "two families on one device",
      'family = "hid-keyboard"\nprinter = "mfd-1"\nvendor_id = 0x09d8\nproduct_id = 0x0410',
      'family = "twn4-simple"\nprinter = "mfd-1"\npath = "/dev/ttyUSB0"',
      { code: "config-duplicate", key: "[[reader]] family" },
    ],
    [
      "a kind of transponder that there is not",
      'family = "hid-keyboard"\nprinter = "mfd-1"\nvendor_id = 0x09d8\nproduct_id = 0x0410',
      'family = "twn4-simple"\nprinter = "mfd-1"\npath = "/dev/ttyACM0"\ntag_types = ["hid-proxy"]',
      { code: "config-wrong-value", key: "[[reader]] tag_types" },
    ],
    [
      "listening to the network for nobody",
      "127.0.0.1:7778",
      "0.0.0.0:7778",
      { code: "config-conflict", key: "[[reader]] listen" },
    ],
    [
      "allow without listen",
      "listen =",
      'allow = ["10.0.0.7"]\nconnect =',
      { code: "config-conflict", key: "[[reader]] allow" },
    ],
    [
      "an OSDP reader without a key",
      'family = "serial-line"',
      'family = "osdp"',
      {
        code: "config-conflict",
        key: "[[reader]] family",
        suggestion: "secure = false does without, where nobody can reach the line",
      },
    ],
    [
      "an OSDP key that is not used",
      'family = "serial-line"',
      `family = "osdp"\nsecure = false\nscbk = "${"5c".repeat(16)}"`,
      { code: "config-conflict", key: "[[reader]] scbk" },
    ],
    [
      "the OSDP key that everybody knows",
      'family = "serial-line"',
      'family = "osdp"\nscbk = "303132333435363738393A3B3C3D3E3F"',
      { code: "config-wrong-value", key: "[[reader]] scbk" },
    ],
    [
      "an OSDP reader nowhere",
      'family = "serial-line"\nprinter = "mfd-1"\npath = "/dev/ttyUSB0"',
      `family = "osdp"\nprinter = "mfd-1"\nscbk = "${"5c".repeat(16)}"`,
      { code: "config-conflict", key: "[[reader]] family" },
    ],
    [
      "an OSDP reader in two places",
      'family = "serial-line"',
      `family = "osdp"\nconnect = "10.0.0.7:4001"\nscbk = "${"5c".repeat(16)}"`,
      { code: "config-conflict", key: "[[reader]] connect" },
    ],
    [
      "an address that is none",
      "listen =",
      'allow = ["10.0.0.7", "10.0.0.300"]\nlisten =',
      { code: "config-wrong-value", key: "[[reader]] allow" },
    ],
    [
      "a port that is none",
      "127.0.0.1:7778",
      "127.0.0.1:77780",
      { code: "config-wrong-value", key: "[[reader]] listen" },
    ],
    [
      "lengths that exclude everything",
      "listen =",
      "min_length = 20\nmax_length = 10\nlisten =",
      { code: "config-conflict", key: "[[reader]] min_length" },
    ],
    [
      "a length that the preset excludes",
      "listen =",
      'preset = "id12"\nmin_length = 20\nlisten =',
      { code: "config-conflict", key: "[[reader]] min_length" },
    ],
    [
      "the same from the other side",
      "listen =",
      "max_length = 3\nlisten =",
      { code: "config-conflict", key: "[[reader]] max_length" },
    ],
    [
      "a preset that is none",
      "listen =",
      'preset = "id-12"\nlisten =',
      { code: "config-wrong-value", key: "[[reader]] preset", suggestion: 'did you mean "id12"?' },
    ],
    [
      "a pipeline that does not fit",
      "trim | hexDecode | toDec(10)",
      "trim | toDec(10)",
      { code: "config-wrong-value", message: "trim gives text, but toDec(10) takes bits" },
    ],
    [
      "a pipeline for bits",
      "trim | hexDecode | toDec(10)",
      "toDec(10)",
      { code: "config-wrong-value", key: "[[reader]] pipeline" },
    ],
    [
      "a pattern that is not supported",
      "trim | hexDecode | toDec(10)",
      "regex((?=a)(b))",
      { code: "config-wrong-value", key: "[[reader]] pipeline" },
    ],
    ["what is no TOML", "[[printer]]", "[[printer]", { code: "config-syntax", key: "" }],
    ["a key given twice", "listen =", 'listen = "127.0.0.1:1"\nlisten =', { code: "config-syntax" }],
    ["an unsafe key", "[[printer]]", "[[printer]]\n__proto__ = 1", { code: "config-syntax" }],
  ])("%s", async (_, before, after, wanted) => {
    const toml = having(before, after);
    const found = await problems(toml);
    const problem = found.find(({ code }) => code === wanted.code);
    expect(problem).toMatchObject({ file: "p.toml", ...wanted });
    expect(Object.keys(CONFIG_CODES)).toContain(problem?.code);
    const key = (wanted.key ?? "").split(" ").at(-1) ?? "";
    if (/^[a-z_]+$/.test(key) && problem?.code !== "config-duplicate" && problem?.line !== undefined) {
      expect(toml.split("\n")[problem.line - 1]).toContain(`${key} =`);
    }
  });

  it.each([
    ["a keypad of nobody", 'keypad_of = "fromt"', { key: "[[reader]] keypad_of", suggestion: 'did you mean "front"?' }],
    ["a keypad of itself", 'keypad_of = "usb"', { key: "[[reader]] keypad_of" }],
    ["a keypad of a reader without PINs", 'keypad_of = "side"', { key: "[[reader]] keypad_of" }],
    [
      "a keypad with credentials of its own",
      'keypad_of = "front"\ncredentials = ["id-pin"]',
      { key: "[[reader]] credentials" },
    ],
    [
      "a shared keypad whose keys cannot be told from a card's",
      'keypad = "shared"\ncredentials = ["card-pin"]',
      { key: "[[reader]] keypad" },
    ],
    [
      "a shared keypad with too long a time between a card's keys",
      'keypad = "shared"\ncredentials = ["card-pin"]\ninter_key_timeout_ms = 101',
      { key: "[[reader]] inter_key_timeout_ms" },
    ],
    ["a keypad whose keys nobody takes", 'keypad = "only"', { key: "[[reader]] keypad" }],
    ["no credential at all", "credentials = []", { code: "config-wrong-value", key: "[[reader]] credentials" }],
    ["an unknown credential", 'credentials = ["pin"]', { code: "config-wrong-value", key: "[[reader]] credentials" }],
    ["a PIN too short", "pin_length = 3", { code: "config-wrong-value", key: "[[reader]] pin_length" }],
    [
      "times that exclude everything",
      "key_timeout_ms = 20_000\nentry_timeout_ms = 19_000",
      { key: "[[reader]] key_timeout_ms" },
    ],
  ])("%s", async (_, lines, wanted) => {
    const withPins = SAMPLE.replace("listen =", 'credentials = ["card", "card-pin", "id-pin"]\nlisten =');
    const [problem, ...others] = await problems(`${withPins}${lines}\n`);
    expect(problem).toMatchObject({ code: "config-conflict", ...wanted });
    expect(others).toEqual([]);
  });

  it("a keypad beside a reader that takes PINs is none", async () => {
    const withPins = SAMPLE.replace("listen =", 'credentials = ["card-pin"]\npin_length = 6\nlisten =');
    const { readers } = await parseConfig(`${withPins}keypad_of = "front"\n`, "p.toml");
    expect(readers[0]).toMatchObject({ credentials: ["card-pin"], pinLength: 6, keyTimeoutMs: 10_000 });
    expect(readers[1]).toMatchObject({ credentials: ["card"], entryTimeoutMs: 60_000 });
    expect(readers[2]).toMatchObject({ keypadOf: "front" });
    const chain = `${withPins}keypad_of = "front"\n`.replace('path = "', 'keypad_of = "usb"\npath = "');
    expect(await problems(chain)).toMatchObject([{ code: "config-conflict", key: "[[reader]] keypad_of" }]);
  });

  it("a missing key at its table's header", async () => {
    const [problem, ...others] = await problems(having('path = "/dev/ttyUSB0"\n', ""));
    expect(problem).toMatchObject({
      code: "config-missing-key",
      key: "[[reader]] path",
      line: lineOf(SAMPLE, '[[reader]]\nname = "side"'),
    });
    expect(others).toEqual([]);
  });

  it("a missing table without a line", async () => {
    const [first] = await problems("");
    expect(first).toMatchObject({ code: "config-missing-key", key: "printer", line: undefined });
  });

  it("the line of the right one of several readers", async () => {
    const toml = having('path = "/dev/ttyUSB0"', "path = 7");
    expect((await problems(toml))[0]).toMatchObject({ key: "[[reader]] path", line: lineOf(toml, "path = 7") });
  });

  it("together with all others, in the order of their lines", async () => {
    const toml = SAMPLE.replace('"info"', '"loud"')
      .replace("0x09d8", "-1")
      .replace('printer = "mfd-1"\nlisten', 'printer = "x"\nlisten')
      .replace('"side"', '"front"');
    const error = await failure(parseConfig(toml, "/etc/p.toml"));
    expect(error.problems.map(({ code }) => code)).toEqual([
      "config-wrong-value",
      "config-unknown-printer",
      "config-duplicate",
      "config-wrong-value",
    ]);
    const lines = error.problems.map(({ line }) => line ?? 0);
    expect(lines).toEqual(lines.toSorted((a, b) => a - b));
    expect(error.code).toBe("config-wrong-value");
    expect(error.detail).toBe(error.problems.map(describeProblem).join("\n"));
    expect(error.detail).toContain("/etc/p.toml:2: [agent] log_level: must be one of");
  });
});

describe("no message holds a key of the file", () => {
  const canary = "canary7Gq2kV9";
  it.each([
    ["a password with a control character", having(PASSWORD, `"${canary}\\u0001"`)],
    ["a key of the wrong type", having(PASSWORD, `["${canary}"]`)],
    ["a key without quotes", having(PASSWORD, canary)],
    ["a key without its end", having(PASSWORD, `"${canary}`)],
    ["a syntax error beside it", having(PASSWORD, `"${canary}"\n]`)],
    ["a key of an earlier version", having("[central]", `[central]\nbearer_key = "${canary}"`)],
    ["a URL with a password", having("https://print", `https://me:${canary}@print`)],
  ])("%s", async (_, toml) => {
    const error = await failure(parseConfig(toml, "p.toml", 0o644));
    expect(JSON.stringify([error.message, error.problems, String(error.cause), error.stack])).not.toContain(canary);
  });
});

describe("a file", () => {
  const write = (name: string, content: string | Buffer, mode: number): string => {
    const file = join(folder, name);
    writeFileSync(file, content);
    chmodSync(file, mode);
    return file;
  };

  it("that only its owner may read is loaded", async () => {
    expect((await loadConfig(write("good.toml", SAMPLE, 0o600))).agent.logLevel).toBe("info");
    expect((await loadConfig(write("read-only.toml", SAMPLE, 0o400))).agent.logLevel).toBe("info");
  });

  it.each([0o640, 0o604, 0o660, 0o602])(
    "with keys and mode %o is refused with the command that closes it",
    async (mode) => {
      const file = write(`open ${mode}'s.toml`, SAMPLE, mode);
      const { code, problems: all } = await failure(loadConfig(file));
      expect(code).toBe("config-readable-by-others");
      expect(all).toHaveLength(1);
      const command = all[0]?.suggestion ?? "";
      expect(command).toMatch(/^chmod 600 /);
      execFileSync("sh", ["-c", command]);
      expect((await loadConfig(file)).agent.logLevel).toBe("info");
    },
  );

  it("without keys may be open", async () => {
    const { problems: all } = await failure(loadConfig(write("open.toml", '[agent]\nlog_level = "info"\n', 0o644)));
    expect(new Set(all.map(({ code }) => code))).toEqual(new Set(["config-missing-key"]));
  });

  it("that is not there, or no file, or too large, is told", async () => {
    execFileSync("mkfifo", [join(folder, "pipe")]);
    expect((await failure(loadConfig(join(folder, "none.toml")))).code).toBe("config-not-found");
    expect((await failure(loadConfig(folder))).code).toBe("config-not-readable");
    expect((await failure(loadConfig(join(folder, "pipe")))).code).toBe("config-not-readable");
    expect((await failure(loadConfig(write("large.toml", Buffer.alloc(2 ** 20 + 1, "#"), 0o600)))).code).toBe(
      "config-not-readable",
    );
  });

  it("is the one of --config, else of the environment, else in /etc", () => {
    expect(configPath("a.toml", { PRINTGATE_CONFIG: "b.toml" })).toBe("a.toml");
    expect(configPath(undefined, { PRINTGATE_CONFIG: "b.toml" })).toBe("b.toml");
    expect(configPath(undefined, { PRINTGATE_CONFIG: "" })).toBe("/etc/printgate/printgate.toml");
  });
});

describe("whatever the text, it is a configuration or a ConfigError", () => {
  const loads = async (toml: string) => {
    const error: unknown = await parseConfig(toml, "p.toml").then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    if (error !== undefined) expect(error).toBeInstanceOf(ConfigError);
  };

  it("the sample with a part cut out or put in", async () => {
    const at = fc.nat(SAMPLE.length);
    await fc.assert(
      fc.asyncProperty(at, fc.nat(40), fc.string({ maxLength: 12 }), async (from, length, piece) => {
        await loads(SAMPLE.slice(0, from) + piece + SAMPLE.slice(from + length));
      }),
      { numRuns: 200 },
    );
  });

  it("any values at the known keys", async () => {
    const value = fc.oneof(
      fc.constantFrom(
        "1979-05-27",
        "inf",
        "nan",
        "[]",
        "{}",
        "[[1]]",
        "{ a = 1 }",
        "-1",
        "0.5",
        "true",
        '""',
        "[1, 'a']",
        "9007199254740991",
      ),
      fc.string({ maxLength: 20 }).map((text) => JSON.stringify(text)),
    );
    const keys = Array.from(SAMPLE.matchAll(/^([a-z_]+) = .*$/gm));
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...keys), value, async ([line, name], replaced) => {
        await loads(SAMPLE.replace(line, () => `${name} = ${replaced}\nunknown = 1`));
      }),
      { numRuns: 200 },
    );
  });
});
