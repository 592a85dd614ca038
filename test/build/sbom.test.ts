import { expect, it } from "vitest";
import { bundledFolders } from "../../build/licences.ts";
import { sbom } from "../../build/sbom.ts";

const packages = [
  { name: "@scope/one", version: "1.0.0", licence: "MIT", text: "" },
  { name: "node-linux-arm64", version: "26.0.0", licence: "MIT", text: "" },
  { name: "hidapi", version: "0.15.0", licence: "(MIT OR X11)", text: "" },
];
const input = {
  version: "1.2.3",
  architecture: "arm64",
  licence: "Apache-2.0",
  timestamp: "2026-11-25T00:00:00Z",
  packages,
  integrity: new Map([["@scope/one@1.0.0", `sha512-${Buffer.alloc(64, 0xab).toString("base64")}`]]),
};

it("lists every part with its licence, its hash where the lockfile has one, and what depends on it", () => {
  const bom = JSON.parse(sbom(input));
  expect(bom).toMatchObject({
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    metadata: { timestamp: input.timestamp, component: { name: "printgate", version: "1.2.3" } },
    components: [
      { type: "library", purl: "pkg:npm/%40scope/one@1.0.0", hashes: [{ alg: "SHA-512", content: "ab".repeat(64) }] },
      { type: "platform", purl: "pkg:generic/node-linux-arm64@26.0.0", licenses: [{ license: { id: "MIT" } }] },
      { type: "library", licenses: [{ expression: "(MIT OR X11)" }] },
    ],
  });
  const refs = bom.components.map((one: { "bom-ref": string }) => one["bom-ref"]);
  expect(new Set(refs).size).toBe(packages.length);
  expect(bom.dependencies[0]).toEqual({ ref: bom.metadata.component["bom-ref"], dependsOn: refs });
});

it("is the same for the same input", () => expect(sbom(input)).toBe(sbom(structuredClone(input))));

it("knows a package inside another's node_modules as that package", () => {
  const inputs = [
    "agent/main.ts",
    "node_modules/a/x.js",
    "node_modules/@s/b/y.js",
    "node_modules/a/node_modules/c/z.js",
  ];
  const metafile = { inputs: Object.fromEntries(inputs.map((path) => [path, { bytes: 1, imports: [] }])), outputs: {} };
  expect(bundledFolders(metafile)).toEqual(["node_modules/@s/b", "node_modules/a", "node_modules/a/node_modules/c"]);
});
