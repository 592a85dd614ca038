import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import { parseArgs } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readKeys } from "../../../agent/central/keys.ts";
import { CentralServer } from "../../../agent/central/server.ts";
import { command } from "../../../agent/commands/central.ts";
import type { Terminal } from "../../../agent/commands/command.ts";
import { Enrolling } from "../../../agent/link/enrolment/enrolling.ts";
import { IdentityFolder } from "../../../agent/link/enrolment/identity.ts";
import { systemClock } from "../../../drivers/clock.ts";
import { CodedError } from "../../../drivers/coded-error.ts";
import { keyPinOf, openTls } from "../../../drivers/transports/tls.ts";

const MAIN = new URL("../../../agent/main.ts", import.meta.url).pathname;

let folder: string;
let data: string;

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** As `main.ts` does it, without the half second that a process takes. */
const central = (...args: string[]): Promise<Ran> => centralAt({}, ...args);

async function centralAt(person: Pick<Terminal, "ask">, ...args: string[]): Promise<Ran> {
  const options = { ...command.options, json: { type: "boolean" } } as const;
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
  const json = values.json === true;
  let [stdout, stderr] = ["", ""];
  const terminal: Terminal = {
    ...person,
    json,
    line(text) {
      if (json) stderr += `${text}\n`;
      else stdout += `${text}\n`;
    },
    note(text) {
      stderr += `${text}\n`;
    },
    result(value) {
      if (json) stdout += JSON.stringify(value);
    },
  };
  const { signal } = new AbortController();
  const withData = { data, ...values };
  try {
    const code = await command.run({ options: withData, words: positionals, terminal, signal });
    return { code, stdout, stderr };
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    return { code: error.code === "usage" ? 2 : 1, stdout, stderr: `${stderr}printgate: ${error.message}` };
  }
}

function feed(input: string, ...args: string[]): Promise<Ran> {
  return new Promise((resolve) => {
    const env = { ...process.env, PRINTGATE_CENTRAL_DATA: data };
    const child = execFile(process.execPath, [MAIN, "central", ...args], { env }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
    child.stdin?.end(input);
  });
}

async function answer(...args: string[]): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await central(...args, "--json");
  expect(code, stderr).toBe(0);
  return JSON.parse(stdout) as Record<string, unknown>;
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "printgate-central-command-"));
  data = join(folder, "made", "central");
  await central("init", "--host", "localhost", "--host", "127.0.0.1");
});

afterAll(() => rm(folder, { recursive: true }));

test("init warns that the keys need a backup, and does not overwrite a site", async () => {
  const other = join(folder, "other");
  const made = await central("init", "--data", other);
  expect(made.stdout).toContain("localhost, 127.0.0.1, ::1");
  expect(made.stderr).toContain(`Back up ${other}/keys`);
  const again = await central("init", "--data", other);
  expect(again.code).toBe(1);
  expect(again.stderr).toContain("central-exists");
});

test("from a user to a held job, with answers as JSON", async () => {
  expect(await answer("user", "add", "anna", "--display-name", "Anna A.")).toEqual({ user: "anna" });
  await answer("card", "add", "--user", "anna", "1234567890");
  const file = join(folder, "report.pdf");
  await writeFile(file, "%PDF-1.7\n");
  const job = await answer("job", "add", file, "--user", "anna", "--expires", "30m");
  expect(job).toMatchObject({ format: "application/pdf", size: 9, sha256: expect.stringMatching(/^[0-9a-f]{64}$/) });
  const { jobs } = await answer("job", "list", "--user", "anna");
  expect(jobs).toMatchObject([{ id: job.id, state: "held", title: "report.pdf", user: "anna" }]);
  const decided = await central("job", "decide", String(job.id), "printed");
  expect([decided.code, decided.stderr.includes("job-not-doubtful")]).toEqual([1, true]);
});

test("a card number from standard input shows nowhere", async () => {
  await answer("user", "add", "ben");
  const added = await feed("9876543210\n", "card", "add", "--user", "ben", "-");
  expect(added.code).toBe(0);
  const taken = await feed("9876543210\n", "card", "add", "--user", "ben", "-", "--json");
  expect(JSON.parse(taken.stdout)).toMatchObject({ error: { code: "card-taken", next: expect.any(String) } });
  const audit = await central("audit");
  for (const { stdout, stderr } of [added, taken, audit]) expect(stdout + stderr).not.toContain("9876543210");
  const db = new DatabaseSync(join(data, "central.db"));
  expect(JSON.stringify(db.prepare("SELECT * FROM cards").all())).not.toContain("9876543210");
  db.close();
  expect((await central("card", "remove", "9876543210")).code).toBe(0);
});

test("a PIN comes from standard input or is made, and shows once at most", async () => {
  await answer("user", "add", "cleo", "--id", "20260042");
  const set = await feed("73519028\n", "user", "set-pin", "cleo", "--required");
  expect([set.code, set.stdout]).toEqual([0, "PIN of user cleo set; a card alone is not enough\n"]);
  const short = await feed("735\n", "user", "set-pin", "cleo", "--json");
  expect([short.code, JSON.parse(short.stdout)]).toMatchObject([1, { error: { code: "pin-invalid" } }]);
  const made = await central("user", "set-pin", "cleo", "--generate");
  const pin = made.stdout.trim();
  expect(pin).toMatch(/^[0-9]{6}$/);
  expect(made.stderr).toContain("cannot be shown again");
  const json = await central("user", "set-pin", "cleo", "--generate", "--json");
  const { pin: second, required } = JSON.parse(json.stdout) as { pin: string; required: boolean };
  // A new PIN must not weaken what an administrator asked for.
  expect(required).toBe(true);
  expect(await answer("user", "set-pin", "cleo", "--generate", "--optional")).toMatchObject({ required: false });
  expect(second).toMatch(/^[0-9]{6}$/);
  expect(json.stderr).not.toContain(second);
  expect(await answer("user", "set-id", "cleo", "30260042")).toEqual({ user: "cleo" });
  await answer("user", "unlock", "cleo");
  await answer("user", "clear-id", "cleo");
  await answer("user", "clear-pin", "cleo");
  expect((await central("user", "clear-pin", "cleo")).stderr).toContain("pin-none");
  const audit = await central("audit");
  for (const event of ["pin-set", "id-set", "user-unlocked", "id-cleared", "pin-cleared"]) {
    expect(audit.stdout).toContain(event);
  }
  for (const { stdout, stderr } of [set, short, audit]) {
    for (const secret of ["73519028", pin, second, "0260042"]) expect(stdout + stderr).not.toContain(secret);
  }
});

test("at a terminal a PIN is typed twice, without an echo", async () => {
  await answer("user", "add", "dora");
  // socat gives the command a terminal of its own; what that echoes is in what comes back.
  const type = async (...answers: string[]): Promise<string> => {
    const command = `${process.execPath} ${MAIN} central user set-pin dora`;
    const env = { ...process.env, PRINTGATE_CENTRAL_DATA: data };
    // Not the command's controlling terminal (ctty): at the end of its owner the kernel hangs that up, and drops last words.
    // After the last answer its standard input ends, and then it waits for the command's end.
    const child = spawn("socat", ["-t", "20", "-", `EXEC:'${command}',pty,stderr,echo=1`], { env });
    let [shown, asked] = ["", 0];
    child.stdout.on("data", (bytes: Buffer) => {
      shown += bytes;
      while (answers.length > 0 && shown.split("dora: ").length + shown.split("again: ").length > 2 + asked) {
        asked += 1;
        child.stdin.write(answers.shift() ?? "");
        if (answers.length === 0) child.stdin.end();
      }
    });
    await once(child, "close");
    return shown;
  };
  const set = await type("73\u007f3519028\r", "73519028\r");
  expect(set).toContain("PIN of user dora set");
  expect(set).not.toMatch(/[0-9]/);
  expect(await type("73519028\r", "73519029\r")).toContain("these are not the same");
  expect(await type("735\u0003")).toContain("given up");
});

/** A device that asks to be enrolled at this site, as far as its server has heard. */
async function asking(name: string): Promise<{ code: string; fingerprint: string }> {
  const server = await CentralServer.start({ dataDir: data });
  const stateDir = await mkdtemp(join(folder, `${name}-`));
  const given = new AbortController();
  try {
    return await new Promise((resolve, reject) => {
      const options = { url: server.url, again: false, boot: "0".repeat(32), clock: systemClock };
      const shown = resolve;
      new Enrolling({
        ...options,
        folder: new IdentityFolder(stateDir),
        signal: given.signal,
        shown,
        trouble() {},
      })
        .run()
        .catch(reject);
    });
  } finally {
    given.abort();
    await server.stop();
  }
}

test("agents are approved by the fingerprint that they show, listed, replaced by name only when told to, and revoked", async () => {
  const { code, fingerprint } = await asking("lobby");
  expect((await answer("agent", "requests")).requests).toMatchObject([{ address: "127.0.0.1" }]);
  const wrong = await central("agent", "approve", code, "--name", "lobby", "--fingerprint", "0000-0000-0000-0000");
  expect([wrong.code, wrong.stderr]).toEqual([1, expect.stringContaining("fingerprint-different")]);
  const nobody = await central("agent", "approve", code, "--name", "lobby");
  expect([nobody.code, nobody.stderr]).toEqual([2, expect.stringContaining("--fingerprint")]);
  expect((await central("agent", "approve", code)).code).toBe(2);
  const words = ["agent", "approve", code.toLowerCase(), "--name", "lobby"];
  const approved = await answer(...words, "--fingerprint", fingerprint.toLowerCase().replaceAll("-", ""));
  expect(approved).toEqual({ agent: "lobby", fingerprint });
  expect((await central("agent", "requests")).stdout).toBe("Nobody asks to be enrolled.\n");
  expect((await answer("agent", "list")).agents).toMatchObject([
    { name: "lobby", enabled: true, state: "enrolled", clonedAt: null },
  ]);

  const other = await asking("other");
  const approve = ["agent", "approve", other.code, "--name", "lobby", "--fingerprint", other.fingerprint];
  expect((await central(...approve)).stderr).toContain("agent-exists");
  await answer("agent", "revoke", "lobby");
  expect((await central("agent", "list")).stdout).toMatch(/^lobby {2}revoked/);
  await answer(...approve, "--replace");
  expect((await central("agent", "list")).stdout).toMatch(/^lobby {2}enrolled, certificate until 20/);
});

test("a person compares at the terminal, and only yes approves", async () => {
  const { code, fingerprint } = await asking("compared");
  const asked: string[] = [];
  const saying = (word: string) => async (question: string) => {
    asked.push(question);
    return word;
  };
  const words = ["agent", "approve", code, "--name", "compared"];
  expect((await centralAt({ ask: saying("no") }, ...words)).stderr).toContain("fingerprint-different");
  const { stdout } = await centralAt({ ask: saying("yes") }, ...words);
  expect(stdout).toContain(`fingerprint  ${fingerprint}`);
  expect(stdout).toContain("agent compared approved");
  expect(asked).toHaveLength(2);
});

test.each([
  [["frobnicate"], "usage"],
  [["user", "add"], "usage"],
  [["user", "add", "a", "b"], "usage"],
  [["user", "set-pin", "anna", "1234"], "usage"],
  [["user", "set-pin", "anna", "--generate", "--required", "--optional"], "usage"],
  [["user", "set-id", "anna"], "usage"],
  [["user", "clear-pin", "anna", "--required"], "usage"],
  [["job", "list", "--title", "x"], "usage"],
  [["card", "add", "1234"], "usage"],
  [["job", "decide", "x", "lost"], "usage"],
  [["job", "add", "/etc/hostname", "--user", "anna", "--expires", "soon"], "usage"],
  [["agent", "approve", "7K2QD-M9XAB"], "usage"],
  [["policy", "rotate"], "usage"],
  [["policy", "publish"], "usage"],
  [["serve", "--listen", "8631"], "usage"],
])("%j is a usage error", async (args, code) => {
  const { code: exit, stderr } = await central(...args);
  expect([exit, stderr.includes(`printgate: ${code}`)]).toEqual([2, true]);
});

test.each([
  [["user", "add", " anna"], "name-invalid"],
  [["agent", "approve", "password", "--name", "a"], "claim-invalid"],
  [["agent", "approve", "7K2QD-M9XAB", "--name", "a"], "claim-unknown"],
  [["agent", "revoke", "nobody"], "agent-unknown"],
  [["card", "add", "--user", "nobody", "1"], "user-unknown"],
  [["user", "set-pin", "nobody", "--generate"], "user-unknown"],
  [["user", "set-id", "anna", "12x"], "id-invalid"],
  [["job", "add", "/nonexistent", "--user", "anna"], "document-unreadable"],
  [["job", "add", "/etc/hostname", "--user", "anna"], "format-unknown"],
  [["job", "add", "/etc/hostname", "--user", "nobody"], "user-unknown"],
  [["agent", "list", "--data", "/nonexistent"], "central-missing"],
])("%j ends with %s and its next step", async (args, code) => {
  const { code: exit, stderr } = await central(...args);
  expect([exit, stderr.split("\n")[0]?.includes(code)], stderr).toEqual([1, true]);
});

test("serve listens, works beside the administrator's commands, and stops on SIGTERM", async () => {
  const { authority: ca, keyPins } = await readKeys(join(data, "keys"));
  const env = { ...process.env, PRINTGATE_CENTRAL_DATA: data };
  const args = [MAIN, "central", "serve", "--listen", "127.0.0.1:0", "--json"];
  const child = spawn(process.execPath, args, { env, stdio: ["ignore", "pipe", "ignore"] });
  try {
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
    const { port } = JSON.parse((await lines.next()).value ?? "{}") as { port: number };
    const socket = await openTls({ host: "localhost", port }, { ca, keyPins }, 5000);
    const certificate = socket.getPeerX509Certificate();
    expect(certificate && keyPinOf(certificate)).toBe(keyPins[0]);
    await answer("user", "add", "while-it-runs");
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    expect(await ended).toEqual([0, null]);
    socket.destroy();
  } finally {
    child.kill("SIGKILL");
  }
});

test("a folder that others can read is refused", async () => {
  await chmod(data, 0o755);
  try {
    const { stderr } = await central("user", "add", "x");
    expect(stderr).toContain("central-readable-by-others");
  } finally {
    await chmod(data, 0o700);
  }
});

test("a job's ticket is told by IPP's names, and shown with the job", async () => {
  await answer("user", "add", "tess");
  const file = join(folder, "ticket.pdf");
  await writeFile(file, "%PDF-1.7\n");
  const ticket = {
    ...{ copies: 2, sides: "two-sided-long-edge" },
    "media-col": { "media-size": { "x-dimension": 21_590, "y-dimension": 27_940 }, "media-source": "tray-2" },
    ...{ "print-color-mode": "monochrome", "print-quality": 5, finishings: [4, 2_000_000] },
    ...{
      "orientation-requested": 4,
      "page-ranges": [
        { lower: 1, upper: 3 },
        { lower: 5, upper: 5 },
      ],
      "print-scaling": "fit",
    },
  };
  const added = await answer(
    ...["job", "add", file, "--user", "tess", "--copies", "2", "--sides", "two-sided-long-edge"],
    ...["--media-size", "8.5x11in", "--media-source", "tray-2", "--print-color-mode", "monochrome"],
    ...["--print-quality", "high", "--finishings", "staple,2000000", "--orientation-requested", "landscape"],
    ...["--page-ranges", "1-3,5", "--print-scaling", "fit"],
  );
  expect(added).toMatchObject({ ticket });
  expect(await answer("job", "list", "--user", "tess")).toMatchObject({ jobs: [{ ticket, hasPassword: false }] });
  expect((await central("job", "list", "--user", "tess")).stdout).toContain(
    "copies 2, sides two-sided-long-edge, media-col media-size 215.9x279.4mm media-source tray-2, " +
      "print-color-mode monochrome, print-quality high, finishings staple,2000000, orientation-requested landscape, " +
      "page-ranges 1-3,5, print-scaling fit",
  );
});

test.each([
  ["--copies", "0"],
  ["--copies", "two"],
  ["--sides", "both"],
  ["--media", "A4 paper"],
  ["--media-size", "210x297"],
  ["--media-size", "0x297mm"],
  ["--media-source", ""],
  ["--print-color-mode", "blue green"],
  ["--print-quality", "best"],
  ["--finishings", "staple,,punch"],
  ["--orientation-requested", "sideways"],
  ["--page-ranges", "3-1"],
  ["--page-ranges", "1-3,2"],
  ["--print-scaling", "100%"],
])("%s %s is refused by name", async (flag, value) => {
  const file = join(folder, "ticket.pdf");
  await writeFile(file, "%PDF-1.7\n");
  const { code, stderr } = await central("job", "add", file, "--user", "tess", flag, value);
  expect(code).toBe(2);
  expect(stderr).toContain(`${flag} takes `);
});

test("media beside a part of media-col is refused", async () => {
  const options = ["--media", "iso_a4_210x297mm", "--media-type", "labels"];
  const { stderr } = await central("job", "add", join(folder, "ticket.pdf"), "--user", "tess", ...options);
  expect(stderr).toContain("--media takes a name");
});

test("a job-password is read from standard input, and shown nowhere", async () => {
  await answer("user", "add", "theo");
  const file = join(folder, "secret.pdf");
  await writeFile(file, "%PDF-1.7\n");
  const said = await feed("740193\n", "job", "add", file, "--user", "theo", "--job-password", "--json");
  expect(said.code, said.stderr).toBe(0);
  expect(said.stdout + said.stderr).not.toContain("740193");
  const listed = await central("job", "list", "--user", "theo");
  expect(listed.stdout).toContain("\n    job-password\n");
  expect(listed.stdout).not.toContain("740193");
  expect((await feed("\n", "job", "add", file, "--user", "theo", "--job-password")).stderr).toContain(
    "job-password-invalid",
  );
});
