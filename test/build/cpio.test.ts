import fc from "fast-check";
import { expect, test } from "vitest";
import { type CpioEntry, cpio } from "../../build/cpio.ts";

const file = (path: string, content: string, mode = 0o644): CpioEntry => ({
  path,
  type: "file",
  mode,
  content: Buffer.from(content),
});
const archive = (entries: CpioEntry[]) => Buffer.concat([...cpio(entries)]);

/** The format's own rules, read independently: 13 fields of 8 hex digits after the magic; name and content end at a multiple of 4. (That the kernel unpacks it the test of the virtual machine shows.) */
function* read(bytes: Buffer): Generator<{ name: string; mode: number; content: string }> {
  for (let at = 0; ; ) {
    expect(bytes.toString("latin1", at, at + 6)).toBe("070701");
    const field = (i: number) => Number.parseInt(bytes.toString("latin1", at + 6 + 8 * i, at + 14 + 8 * i), 16);
    const [mode, size, nameSize] = [field(1), field(6), field(11)];
    const name = bytes.toString("utf8", at + 110, at + 110 + nameSize - 1);
    const start = (at + 110 + nameSize + 3) & ~3;
    if (name === "TRAILER!!!") return;
    yield { name, mode, content: bytes.toString("utf8", start, start + size) };
    at = (start + size + 3) & ~3;
  }
}

test("files keep their modes, links their targets", () => {
  const entries = [...read(archive([file("x", "#!/bin/sh", 0o755), { path: "bin", type: "link", target: "usr/bin" }]))];
  expect(entries).toEqual([
    { name: "x", mode: 0o100755, content: "#!/bin/sh" },
    { name: "bin", mode: 0o120777, content: "usr/bin" },
  ]);
});

test("a file brings its directories, each once, before it", () => {
  const names = [...read(archive([file("a/b/c", "1"), file("a/d", "2"), { path: "a/b", type: "directory" }]))];
  expect(names.map(({ name }) => name)).toEqual(["a", "a/b", "a/b/c", "a/d"]);
});

test("any names and contents are read back, whatever their lengths", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.stringMatching(/^[a-z]{1,9}$/), fc.string()), { maxLength: 5 }), (files) => {
      const found = [...read(archive(files.map(([path, content]) => file(path, content))))];
      expect(found.map(({ name, content }) => [name, content])).toEqual(files);
    }),
  );
});
