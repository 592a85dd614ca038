import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type DnsRecord, ServiceCollector } from "../../../drivers/discovery/dns-sd.ts";
import { PRINTER_SERVICES, printerAdverts } from "../../../drivers/discovery/printer-advert.ts";

const UUID = "be8b703d-fc7e-352d-62d6-b6324359fe8f";
const txt = (...lines: string[]) => lines.map((line) => Buffer.from(line));

function records(
  name: string,
  type = "_ipps._tcp",
  port = 443,
  address = "10.0.0.20",
  more: string[] = [],
): DnsRecord[] {
  const instance = `${name}.${type}.local`;
  const lines = [
    "txtvers=1",
    "ty=ACME Laser 5000",
    `UUID=${UUID}`,
    "rp=ipp/print",
    "pdl=application/pdf,image/urf",
    ...more,
  ];
  return [
    { name: `${type}.local`, type: "PTR", ttl: 4500, data: instance },
    { name: instance, type: "SRV", ttl: 120, data: { priority: 0, weight: 0, port, target: "acme.local" } },
    { name: instance, type: "TXT", ttl: 4500, data: txt(...lines) },
    { name: "acme.local", type: "A", ttl: 120, data: address },
  ];
}

const collected = (...packets: readonly (readonly unknown[])[]) => {
  const collector = new ServiceCollector(PRINTER_SERVICES);
  for (const packet of packets) collector.push(packet);
  return collector;
};
const adverts = (...packets: readonly (readonly unknown[])[]) => printerAdverts(collected(...packets).services);

const LASER = {
  name: "Laser (lobby) 4.1",
  model: "ACME Laser 5000",
  location: "by the door",
  uuid: UUID,
  formats: ["application/pdf", "image/urf"],
  host: "acme.local",
  address: "10.0.0.20",
};

test("ipp and ipps of one printer are one printer", () => {
  const note = ["note=by the door"];
  const both = [
    ...records(LASER.name, "_ipp._tcp", 631, "10.0.0.20", note),
    ...records(LASER.name, "_ipps._tcp", 443, "10.0.0.20", note),
  ];
  expect(adverts(both)).toEqual([
    { ...LASER, ipps: "ipps://10.0.0.20:443/ipp/print", ipp: "ipp://10.0.0.20:631/ipp/print" },
  ]);
  expect(adverts(records(LASER.name))).toMatchObject([{ ipps: "ipps://10.0.0.20:443/ipp/print" }]);
});

test("the records may come in any order and any packets, in any case", () => {
  const all = records(LASER.name, "_ipp._tcp", 631);
  const whole = adverts(all);
  expect(whole).toHaveLength(1);
  fc.assert(
    fc.property(fc.shuffledSubarray(all, { minLength: 4 }), fc.boolean(), (shuffled, upper) => {
      const cased = shuffled.map((record) =>
        upper && record.type !== "PTR" ? { ...record, name: String(record.name).toUpperCase() } : record,
      );
      const found = adverts(...cased.map((record) => [record]));
      expect(found.map(({ ipp, uuid }) => [ipp, uuid])).toEqual(whole.map(({ ipp, uuid }) => [ipp, uuid]));
    }),
  );
});

test("what is missing is asked for, and nothing else", () => {
  const [ptr, srv, text, a] = records("Laser");
  expect(collected([]).browse).toEqual([
    { name: "_ipps._tcp.local", type: "PTR" },
    { name: "_ipp._tcp.local", type: "PTR" },
  ]);
  const instance = "Laser._ipps._tcp.local";
  expect(collected([ptr]).missing).toEqual([
    { name: instance, type: "SRV" },
    { name: instance, type: "TXT" },
  ]);
  expect(collected([ptr, srv, text]).missing).toEqual([{ name: "acme.local", type: "A" }]);
  expect(collected([ptr, srv, text, a]).missing).toEqual([]);
});

test("a printer that says good-bye is gone, and so is an address", () => {
  const all = records("Laser");
  expect(adverts(all, [{ ...all[0], ttl: 0 }])).toEqual([]);
  expect(adverts(all, [{ ...all[3], ttl: 0 }])).toEqual([]);
});

describe("a hostile advert", () => {
  const one = (...more: string[]) => {
    const all = records("Laser");
    return adverts(all.map((record) => (record.type === "TXT" ? { ...record, data: txt(...more) } : record)))[0];
  };

  test.each([["rp=../../etc?x=1"], ["rp=a b"], ["rp=x#y"], [`rp=${"a".repeat(240)}`]])(
    "%j is no path: it is left out",
    (line) => expect(one(line)).toBeUndefined(),
  );

  test("text for the terminal is printable and short, whatever was in it", () => {
    const found = one(
      "ty=\x1b[31mRED\n\u202eevil\u0000",
      `note=${"n".repeat(200)}`,
      "UUID=not one",
      "pdl=a/b,<script>,, c/d",
    );
    expect(found).toMatchObject({ model: "?[31mRED??evil?", uuid: "", formats: ["a/b", "c/d"] });
    expect(found?.location).toHaveLength(80);
  });

  test("no path, no text at all", () => {
    expect(one()).toMatchObject({ ipps: "ipps://10.0.0.20:443/", model: "", formats: [] });
  });

  test("an address that is none, or of no use, is no printer", () => {
    expect(adverts(records("Laser", "_ipp._tcp", 631, "fe80::1"))).toEqual([]);
    expect(adverts(records("Laser", "_ipp._tcp", 631, "evil.example"))).toEqual([]);
    expect(adverts(records("Laser", "_ipp._tcp", 631, "2001:db8::5"))[0]?.ipp).toBe(
      "ipp://[2001:db8::5]:631/ipp/print",
    );
    expect(adverts(records("Laser", "_ipp._tcp", 0))).toEqual([]);
  });

  test("a flood fills no memory", () => {
    const collector = collected(...Array.from({ length: 5000 }, (_, index) => records(`Laser ${index}`)));
    expect(collector.services).toHaveLength(256);
    const hosts = Array.from({ length: 5000 }, (_, index) => ({
      name: `h${index}.local`,
      type: "A",
      ttl: 1,
      data: "10.0.0.1",
    }));
    const addresses = Array.from({ length: 5000 }, (_, index) => ({
      name: "acme.local",
      type: "A",
      ttl: 1,
      data: `10.0.${index >> 8}.${index & 255}`,
    }));
    const lines = Array.from({ length: 5000 }, (_, index) => `k${index}=v`);
    const [service] = collected(records("Laser", "_ipps._tcp", 443, "10.0.0.1", lines), hosts, addresses).services;
    expect([service?.addresses.length, service?.txt.size]).toEqual([8, 64]);
    expect(collector.missing.length).toBeLessThanOrEqual(20);
  });
});

test("any garbage: no throw, and what comes after it is understood", () => {
  const name = fc.oneof(
    fc.constantFrom("_ipp._tcp.local", "Laser._ipp._tcp.local", "._ipp._tcp.local", "acme.local", "__proto__"),
    fc.string(),
  );
  const record = fc.record(
    {
      name: fc.oneof(name, fc.anything()),
      type: fc.oneof(fc.constantFrom("PTR", "SRV", "TXT", "A", "AAAA", "OPT"), fc.anything()),
      ttl: fc.anything(),
      data: fc.oneof(
        name,
        fc.uint8Array(),
        fc.array(fc.uint8Array()),
        fc.record({ target: name, port: fc.integer() }),
        fc.anything(),
      ),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(fc.array(fc.oneof(record, fc.anything()), { maxLength: 30 }), (garbage) => {
      const collector = collected(garbage);
      printerAdverts(collector.services);
      expect(collector.missing.length).toBeLessThanOrEqual(20);
      collector.push(
        records("After", "_ipp._tcp", 631).map((one) => (one.type === "A" ? { ...one, data: "10.1.2.3" } : one)),
      );
      expect(collector.services.map((service) => service.name)).toContain("After");
    }),
    { numRuns: 500 },
  );
});
