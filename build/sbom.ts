import type { BundledPackage } from "./licences.ts";

export interface SbomInput {
  readonly version: string;
  readonly architecture: string;
  readonly licence: string;
  /** When it was made: RFC 3339. */
  readonly timestamp: string;
  readonly packages: readonly BundledPackage[];
  /** Hashes of npm packages as the lockfile has them, `sha512-BASE64`, by `name@version`. */
  readonly integrity: ReadonlyMap<string, string>;
}

/** Pure: what is in the package, as CycloneDX 1.6 in JSON (ECMA-424). The same input gives the same bytes. */
export function sbom({ version, architecture, licence, timestamp, packages, integrity }: SbomInput): string {
  const self = `pkg:deb/printgate@${version}?arch=${architecture}`;
  const components = packages.map((one) => {
    const hash = integrity.get(`${one.name}@${one.version}`);
    const purl = purlOf(one, hash !== undefined);
    return {
      type: one.name.startsWith("node-linux-") ? "platform" : "library",
      "bom-ref": purl,
      name: one.name,
      version: one.version,
      licenses: [licenceOf(one.licence)],
      purl,
      ...(hash === undefined
        ? {}
        : {
            hashes: [{ alg: "SHA-512", content: Buffer.from(hash.replace("sha512-", ""), "base64").toString("hex") }],
          }),
    };
  });
  const bom = {
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    version: 1,
    metadata: {
      timestamp,
      component: {
        type: "application",
        "bom-ref": self,
        name: "printgate",
        version,
        licenses: [licenceOf(licence)],
        purl: self,
      },
    },
    components,
    dependencies: [
      { ref: self, dependsOn: components.map((one) => one["bom-ref"]) },
      ...components.map((one) => ({ ref: one["bom-ref"] })),
    ],
  };
  return `${JSON.stringify(bom, undefined, 1)}\n`;
}

/** One SPDX identifier, or an expression of several. */
function licenceOf(licence: string): object {
  return /^[A-Za-z0-9.+-]+$/.test(licence) ? { license: { id: licence } } : { expression: licence };
}

/** package-url.github.io: a scope's @ is percent-encoded. */
function purlOf({ name, version }: BundledPackage, isNpm: boolean): string {
  return isNpm ? `pkg:npm/${name.replace(/^@/, "%40")}@${version}` : `pkg:generic/${name}@${version}`;
}
