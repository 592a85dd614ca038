import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { describe, expect, it } from "vitest";

const root = new URL("..", import.meta.url).pathname;

const sources = ["agent", "drivers"].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts") && !name.endsWith(".d.ts"))
    .map((name) => join(folder, name)),
);

/** Own modules that a file imports; `dynamic` includes `import()`, which cannot make an initialisation circle. */
function imports(file: string, dynamic: boolean): string[] {
  const text = readFileSync(join(root, file), "utf8");
  const found = [...text.matchAll(/^(?:import|export)\s(?:[^;]*?\sfrom\s)?"(\.[^"]+)"/gm)];
  if (dynamic) found.push(...text.matchAll(/\bimport\(\s*"(\.[^"]+)"/g));
  return found.map(([, path]) => relative(root, resolve(join(root, dirname(file)), path ?? "")));
}

const room = (file: string) =>
  file
    .split("/")
    .slice(0, file.startsWith("agent/") ? 2 : 1)
    .join("/");

/** Design law 1: who may import whom inside agent/. The composition root, the commands and the demo wire, so they may all. */
const MAY: Readonly<Record<string, readonly string[]>> = {
  "agent/settings": [],
  "agent/protocol": ["agent/settings"],
  "agent/storage": [],
  "agent/cards": [],
  "agent/config": ["agent/cards", "agent/settings", "agent/protocol"],
  "agent/release": ["agent/protocol", "agent/storage"],
  "agent/link": ["agent/protocol", "agent/storage"],
  "agent/policy": ["agent/protocol", "agent/storage"],
  "agent/central": ["agent/protocol", "agent/storage", "agent/cards", "agent/settings"],
  "agent/health": ["agent/release", "agent/storage"],
};
const WIRING = [
  "agent/agent.ts",
  "agent/printer-of.ts",
  "agent/main.ts",
  "agent/version.ts",
  "agent/commands",
  "agent/demo",
];

describe("the arrows between rooms", () => {
  it("finds the sources", () => expect(sources.length).toBeGreaterThan(40));

  for (const file of sources) {
    it(`${file} imports only what its room may`, () => {
      const own = room(file);
      const wrong = imports(file, true)
        .map(room)
        .filter((other) => other !== own && other !== "drivers")
        .filter((other) => own === "drivers" || !(WIRING.includes(own) || MAY[own]?.includes(other)));
      expect(wrong).toEqual([]);
    });
  }

  it("release knows contracts only: no concrete driver, no TLS", () => {
    const allowed = [
      "drivers/printer.ts",
      "drivers/printer-counts.ts",
      "drivers/reader.ts",
      "drivers/clock.ts",
      "drivers/log.ts",
      "drivers/coded-error.ts",
    ];
    for (const file of sources.filter((name) => name.startsWith("agent/release/"))) {
      const fromDrivers = imports(file, true).filter((name) => name.startsWith("drivers/"));
      expect(
        fromDrivers.filter((name) => !allowed.includes(name)),
        file,
      ).toEqual([]);
      expect(readFileSync(join(root, file), "utf8"), file).not.toMatch(/"node:(tls|https?|net)"/);
    }
  });

  it("no circle of imports", () => {
    const state = new Map<string, "open" | "done">();
    const visit = (file: string, path: readonly string[]): void => {
      if (state.get(file) === "done" || !sources.includes(file)) return;
      if (state.get(file) === "open") throw new Error([...path.slice(path.indexOf(file)), file].join(" -> "));
      state.set(file, "open");
      for (const next of imports(file, false)) visit(next, [...path, file]);
      state.set(file, "done");
    };
    for (const file of sources) visit(file, []);
  });

  it("no file is longer than about 400 lines", () => {
    const long = sources.filter((file) => readFileSync(join(root, file), "utf8").split("\n").length > 420);
    expect(long).toEqual([]);
  });
});
