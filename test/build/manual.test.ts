import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bashCompletion, type Help, manPage, subCommands } from "../../build/manual.ts";

const run = promisify(execFile);
const reader: Help = {
  name: "reader",
  text: `printgate reader: find readers

usage: printgate reader list
       printgate reader add [--device DEVICE | --tcp HOST:PORT]
       printgate reader key show|set NAME

  --device DEVICE  what \`list\` shows, such as '\\dev'
.not a request
  --tcp HOST:PORT  one of the network`,
};
const runs: Help = { name: "run", text: "printgate run: run\n\nusage: printgate run [--config FILE]" };

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "printgate-manual-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe("the man page", () => {
  it("says what the help says, and roff changes nothing in it", async () => {
    const page = join(folder, "printgate.1");
    await writeFile(page, manPage("usage: printgate COMMAND", [runs, reader], "1.2.3", "2026-11-25"));
    const { stdout, stderr } = await run("man", ["--warnings", "-E", "UTF-8", "-l", "-P", "cat", page], {
      env: { ...process.env, MANWIDTH: "140", MAN_KEEP_FORMATTING: "", LC_ALL: "C.UTF-8" },
    });
    expect(stderr).toBe("");
    const plain = stdout.replace(/^ {7}/gm, "");
    expect(plain).toContain("PRINTGATE READER");
    expect(plain).toContain(reader.text.split("\n\n")[2]);
    expect(plain).toContain("printgate 1.2.3");
  });
});

describe("the completion of bash", () => {
  it("knows sub-commands, alternatives as both", () => {
    expect(subCommands(reader)).toEqual([["list"], ["add"], ["key", "show"], ["key", "set"]]);
    expect(subCommands(runs)).toEqual([]);
  });

  it("completes commands, sub-commands and options", async () => {
    const script = join(folder, "completion");
    await writeFile(script, bashCompletion([runs, reader]));
    const completed = async (...words: string[]) => {
      const call =
        '. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _printgate; IFS=,; echo "$' + '{COMPREPLY[*]}"';
      const { stdout } = await run("bash", ["-c", call, "bash", script, "printgate", ...words]);
      return stdout.trim().split(",");
    };
    expect(await completed("r")).toEqual(["run", "reader"]);
    expect(await completed("reader", "")).toEqual(["add", "key", "list", "--device", "--help", "--json", "--tcp"]);
    expect(await completed("reader", "key", "s")).toEqual(["set", "show"]);
    expect(await completed("reader", "add", "--tcp", "x", "--d")).toEqual(["--device"]);
    expect(await completed("run", "--c")).toEqual(["--config"]);
    expect(await completed("nothing", "")).toEqual([""]);
  });
});
