import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { SAMPLE } from "../agent/config/sample.ts";
import { AdvertisedPrinter } from "./advertised.ts";
import { until } from "./until.ts";

test("a printer that avahi-daemon advertises is discovered, added by its uuid, and trusted", async () => {
  await using printer = await AdvertisedPrinter.start();
  const folder = await mkdtemp(join(tmpdir(), "printer-discover-"));
  try {
    let found: { name: string; uuid: string; probes: { uri: string; key?: { keyPin: string } }[] } | undefined;
    // It probes for its names first (RFC 6762 8.1), and makes its key at the first TLS connection.
    await until(
      "the printer is discovered",
      async () => {
        const { out } = await printer.printgate("printer", "discover", "--seconds", "1", "--json");
        const { printers } = JSON.parse(out) as { printers: [typeof found] };
        found = printers[0];
        return found?.probes.length === 2 && found.probes[0]?.key !== undefined;
      },
      40_000,
    );
    const path = `${printer.address}:${printer.port}/ipp/print`;
    expect(found).toMatchObject({
      ...{ name: "Lobby Laser", model: "Example Printer", host: "acme.local", address: printer.address, snmp: false },
      ...{ ipps: `ipps://${path}`, ipp: `ipp://${path}`, formats: ["application/pdf", "image/urf"] },
      probes: [{ key: { keyType: "rsa 2048" }, state: { state: "idle" } }, { state: { state: "idle" } }],
    });
    const file = join(folder, "printgate.toml");
    await writeFile(file, SAMPLE, { mode: 0o600 });
    const { uuid = "", probes = [] } = found ?? {};
    const sure = ["--yes", "--expect", probes[0]?.key?.keyPin ?? "", "--config", file];
    expect((await printer.printgate("printer", "add", uuid, "--seconds", "1", ...sure)).code).toBe(0);
    expect(await readFile(file, "utf8")).toContain(`uri = "ipps://${path}"`);
    const trusted = await printer.printgate("printer", "trust", "mfd-2", "--config", file);
    expect(trusted).toMatchObject({ code: 0, out: expect.stringContaining("trusted already") });
  } finally {
    await rm(folder, { recursive: true });
  }
}, 60_000);
