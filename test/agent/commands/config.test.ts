import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { filledIn, SAMPLE } from "../config/sample.ts";

const MAIN = new URL("../../../agent/main.ts", import.meta.url).pathname;
let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "printgate-config-command-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

function printgate(...args: readonly string[]) {
  const environment = { ...process.env, PRINTGATE_CONFIG: join(folder, "from-environment.toml") };
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], {
    encoding: "utf8",
    timeout: 15_000,
    env: environment,
  });
  return { status, stdout, stderr };
}

function write(name: string, toml: string): string {
  const file = join(folder, name);
  writeFileSync(file, toml, { mode: 0o600 });
  return file;
}

describe("the command line", () => {
  it("ends quietly when nobody reads on", () => {
    const command = `"${process.execPath}" "${MAIN}" config example | true; echo "\${PIPESTATUS[0]}"`;
    const { stdout, stderr } = spawnSync("bash", ["-c", command], { encoding: "utf8", timeout: 15_000 });
    expect({ stdout, stderr }).toEqual({ stdout: "0\n", stderr: "" });
  });

  it("prints an example that passes its own check once filled in", () => {
    const example = printgate("config", "example");
    expect(example.status).toBe(0);
    const raw = write("example.toml", example.stdout);
    expect(printgate("config", "check", raw)).toMatchObject({ status: 1 });
    expect(printgate("config", "check", write("filled.toml", filledIn(example.stdout)))).toMatchObject({
      status: 0,
      stderr: "",
    });
  });

  it("checks a good file, as JSON alone on stdout with --json", () => {
    const file = write("good.toml", SAMPLE);
    const { status, stdout, stderr } = printgate("config", "check", "--json", "--config", file);
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toEqual({ ok: true, file, printers: ["mfd-1"], readers: ["front", "side", "usb"] });
    expect(stderr).toContain("good");
  });

  it("tells every problem with its line and what to do", () => {
    const file = write("from-environment.toml", SAMPLE.replace("listen =", "lisen =").replace('"info"', "7"));
    const { status, stdout } = printgate("config", "check");
    expect(status).toBe(1);
    expect(stdout).toContain(`${file}:2: [agent] log_level: must be one of`);
    expect(stdout).toContain("[[reader]] lisen: there is no such key (did you mean listen?)");
    expect(stdout).toContain("Correct its spelling or remove it");
    const { problems } = JSON.parse(printgate("config", "check", "--json").stdout) as { problems: { code: string }[] };
    expect(problems.map(({ code }) => code)).toEqual(["config-wrong-value", "config-conflict", "config-unknown-key"]);
  });

  it("refuses words that it does not know", () => {
    for (const words of [["chek"], ["check", "a", "b"]]) {
      expect(printgate("config", ...words)).toMatchObject({ status: 2, stdout: "" });
    }
  });

  it("converts a card", () => {
    expect(printgate("card", "convert", "--pipeline", "hexDecode|reverseBytes|toDec", "04A2B3C4")).toEqual({
      status: 0,
      stdout: "3300106756\n",
      stderr: "",
    });
    expect(printgate("card", "convert", "--pipeline", "hexDecode|toDec", "04Z").status).toBe(1);
  });
});
