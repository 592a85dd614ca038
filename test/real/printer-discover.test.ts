import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { SAMPLE } from "../agent/config/sample.ts";
import { AdvertisedPrinter } from "./advertised.ts";
import { until } from "./until.ts";

test("a printer that avahi-daemon advertises is discovered, added by its uuid, trusted, and found again at another address", async () => {
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
    // For longer than the second in which no record is sent again (RFC 6762 6).
    expect((await printer.printgate("printer", "add", uuid, "--seconds", "3", ...sure)).code).toBe(0);
    const added = await readFile(file, "utf8");
    expect(added).toContain(`uri = "ipps://${path}"\nuuid = "${uuid}"\n`);
    const trusted = await printer.printgate("printer", "trust", "mfd-2", "--config", file);
    expect(trusted).toMatchObject({ code: 0, out: expect.stringContaining("trusted already") });

    // As if it had been at another address when it was added.
    const before = `uri = "ipps://10.99.0.77:${printer.port}/ipp/print"`;
    const doctor = async (text: string) => {
      await writeFile(file, text, { mode: 0o600 });
      const { checks } = JSON.parse((await printer.printgate("doctor", "--json", "--config", file)).out);
      return checks.find(({ name }: { name: string }) => name === "printer mfd-2");
    };
    const moved = added.replace(`uri = "ipps://${path}"`, before);
    expect(await doctor(moved)).toMatchObject({
      result: "warn",
      evidence: expect.stringContaining(`followed to ipps://${path}, by its uuid and its pinned key`),
    });
    const pin = probes[0]?.key?.keyPin ?? "";
    expect(await doctor(moved.replaceAll(pin, `sha256/${"A".repeat(43)}=`))).toMatchObject({
      result: "fail",
      evidence: expect.stringContaining("another key than the pinned one"),
    });
  } finally {
    await rm(folder, { recursive: true });
  }
}, 60_000);
