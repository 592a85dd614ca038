import { execFile, spawnSync } from "node:child_process";
import { chmod, readFile, rm, stat, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isDeepStrictEqual, promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { VirtualMfd } from "../../agent/demo/mfd.ts";
import { replay } from "../../agent/release/ledger.ts";
import { decodeLog } from "../../agent/storage/append-log.ts";
import { systemClock } from "../../drivers/clock.ts";
import { type AgentProcess, printgate } from "./agent-process.ts";
import { CARD, type Installed, pdf, Site } from "./site.ts";
import { until } from "./until.ts";

const run = promisify(execFile);

let site: Site;
let mfd: VirtualMfd;
beforeAll(async () => {
  site = await Site.start();
  mfd = await VirtualMfd.start({ clock: systemClock, printMs: 5 });
});
afterAll(async () => {
  await site.stop();
  await mfd.stop();
});

const install = (name: string) => site.install({ name, printer: `uri = "${mfd.uri}"` });
const phasesOf = async (agent: AgentProcess, { stateDir }: Installed) =>
  (await readFile(agent.seen(join(stateDir, "ledger.log")), "utf8")).match(/"phase":"[A-Z_]+"/g) ?? [];

const SOUND = { tornBytes: 0, damagedLines: 0, unknownRecords: 0 };
/** What the next start would make of the ledger's file. */
const soundness = async (agent: AgentProcess, { stateDir }: Installed) => {
  const recovered = decodeLog(await readFile(agent.seen(join(stateDir, "ledger.log"))));
  const { tornBytes, damagedLines } = recovered;
  return { tornBytes, damagedLines, unknownRecords: replay(recovered).unknownRecords };
};

/** A way to run out of space that the agent cannot tell from a full disk, or that is one. */
interface Shortage {
  readonly what: string;
  readonly code: string;
  /** What the agent is run through. */
  through(installed: Installed): Promise<readonly string[]>;
  begin(agent: AgentProcess, installed: Installed): Promise<unknown>;
  end(agent: AgentProcess, installed: Installed): Promise<unknown>;
}

const fileLimit: Shortage = {
  what: "no file may grow",
  code: "storage-failed",
  through: async () => [],
  async begin({ pid }, { stateDir }) {
    const { size } = await stat(join(stateDir, "ledger.log"));
    await run("prlimit", ["--pid", String(pid), `--fsize=${size}:unlimited`]);
  },
  end: ({ pid }) => run("prlimit", ["--pid", String(pid), "--fsize=unlimited:unlimited"]),
};

const filler = (agent: AgentProcess, { stateDir }: Installed) => agent.seen(join(stateDir, "filler"));
/** With the identity: the agent was enrolled before. */
const MOUNTED =
  'cp -a "$0/identity" "$0.identity" && mount -t tmpfs -o size=96k,mode=0700 none "$0" && cp -a "$0.identity" "$0/identity"';
const inNamespace = (script: string) => async (installed: Installed) => {
  return ["unshare", "-rm", "sh", "-c", `${script} && exec "$@"`, installed.stateDir];
};
const fullDisk: Shortage = {
  what: "the disk is full",
  code: "storage-full",
  through: inNamespace(MOUNTED),
  begin: (agent, installed) =>
    expect(writeFile(filler(agent, installed), Buffer.alloc(2 ** 20))).rejects.toMatchObject({ code: "ENOSPC" }),
  end: (agent, installed) => unlink(filler(agent, installed)),
};

/** Not every machine lets its users mount; the file limit is there on all. */
const mayMount = spawnSync("unshare", ["-rm", "mount", "-t", "tmpfs", "none", "/mnt"]).status === 0;
const shortages = mayMount ? [fileLimit, fullDisk] : [fileLimit];

describe.each(shortages)("when $what", ({ what, code, through, begin, end }) => {
  const name = what.replaceAll(" ", "-");

  test("nothing is printed that is not recorded, jobs stay held, and all works again when there is space", async () => {
    const installed = await install(name);
    const agent = await installed.start(await through(installed));
    await site.submit(pdf(`${what} before`, 5000));
    expect(await agent.tap(CARD)).toMatchObject({ signal: "printed" });
    await begin(agent, installed);
    const printed = mfd.prints.length;
    // What is left of the ledger's last block may still take a release or two.
    let refused = false;
    for (let tap = 0; !refused; tap++) {
      expect(tap).toBeLessThan(10);
      const document = await site.submit(pdf(`${what} ${tap}`, 5000));
      const { signal, jobs } = await agent.tap(CARD);
      refused = signal !== "printed";
      expect(await site.stateOf(document)).toBe(refused ? "held" : "printed");
      expect(mfd.prints.length).toBe(printed + (refused ? tap : tap + 1));
      if (refused)
        expect({ signal, jobs }).toMatchObject({ signal: "fault", jobs: [{ word: "not printed", reason: code }] });
    }
    const sendings = (await phasesOf(agent, installed)).filter((phase) => phase.includes("SENDING"));
    expect(sendings).toHaveLength(1 + mfd.prints.length - printed);

    await end(agent, installed);
    expect(await agent.tap(CARD)).toMatchObject({ signal: "printed" });
    expect(new Set(mfd.prints.map(({ sha256 }) => sha256)).size).toBe(mfd.prints.length);
    expect((await agent.status()).ledger).toMatchObject({ open: 0, unreported: 0, inDoubt: 0 });
    await until("the file is sound", async () => isDeepStrictEqual(await soundness(agent, installed), SOUND));
    expect(await agent.stop()).toMatchObject({ code: 0 });
  });
});

test("however little space is left, the ledger's file stays sound", async () => {
  const installed = await install("little-space");
  const agent = await installed.start();
  await agent.tap(CARD);
  const document = await site.submit(pdf("little space", 5000));
  for (let left = 0; left < 700; left += 50) {
    const { size } = await stat(join(installed.stateDir, "ledger.log"));
    await run("prlimit", ["--pid", String(agent.pid), `--fsize=${size + left}:unlimited`]);
    expect(await agent.tap(CARD)).toMatchObject({ signal: "fault" });
    await run("prlimit", ["--pid", String(agent.pid), "--fsize=unlimited:unlimited"]);
    // The report's record may still be on its way into the file, or out of it again.
    await until(`with ${left} octets left the file is sound`, async () =>
      isDeepStrictEqual(await soundness(agent, installed), SOUND),
    );
  }
  expect(await agent.tap(CARD)).toMatchObject({ signal: "printed" });
  expect(await site.stateOf(document)).toBe("printed");
});

if (mayMount) {
  test("with a disk that is full from the start, prints nothing, tells why, and prints when there is space", async () => {
    const installed = await install("full-at-start");
    const fill = inNamespace(`${MOUNTED} && ! head -c 1000000 /dev/zero 2>/dev/null >"$0/filler"`);
    const agent = await installed.start(await fill(installed));
    const document = await site.submit(pdf("full at start", 5000));
    const printed = mfd.prints.length;
    expect(await agent.tap(CARD)).toMatchObject({ signal: "fault", code: "storage-full" });
    expect(mfd.prints).toHaveLength(printed);
    expect(await site.stateOf(document)).toBe("held");
    expect(agent.stdout).toContain("storage-full");
    await unlink(filler(agent, installed));
    expect(await agent.tap(CARD)).toMatchObject({ signal: "printed" });
    expect(await site.stateOf(document)).toBe("printed");
  });
}

describe("with a state folder that cannot be written", () => {
  /** Root obeys a folder's mode only without its capabilities. */
  const plain = process.getuid?.() === 0 ? ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] : [];

  test("the agent does not start, and run and doctor name the folder and the next step", async () => {
    const installed = await install("read-only");
    await chmod(installed.stateDir, 0o500);
    const config = ["--json", "--config", installed.configPath];
    const started = await printgate(["run", ...config], plain);
    expect(started.code).toBe(1);
    expect(started.stderr).toContain(installed.stateDir);
    const { error } = JSON.parse(started.stdout);
    expect(error).toMatchObject({ code: "storage-read-only", next: expect.stringContaining("read-write") });
    const doctor = await printgate(["doctor", ...config], plain);
    expect(doctor.code).toBe(1);
    expect(doctor.stdout, doctor.stderr).not.toBe("");
    const { checks } = JSON.parse(doctor.stdout);
    expect(checks).toContainEqual(
      expect.objectContaining({
        name: "storage",
        result: "fail",
        evidence: expect.stringContaining("storage-read-only"),
      }),
    );
    expect(checks).toContainEqual(expect.objectContaining({ name: "central server", result: "pass" }));
    await chmod(installed.stateDir, 0o700);
    const agent = await installed.start(plain);
    expect(await agent.tap(CARD)).toMatchObject({ signal: "no-jobs" });
  });

  test("neither does it where the folder cannot be made", async () => {
    const installed = await install("no-parent");
    await rm(installed.stateDir, { recursive: true });
    await writeFile(installed.stateDir, "a file is in its place");
    const started = await printgate(["run", "--json", "--config", installed.configPath]);
    expect(started.code).toBe(1);
    expect(JSON.parse(started.stdout)).toMatchObject({ error: { code: "storage-failed" } });
  });
});
