import { createSocket } from "node:dgram";
import { once } from "node:events";
import { afterEach, expect, test } from "vitest";
import { systemClock } from "../../../drivers/clock.ts";
import { browse } from "../../../drivers/discovery/browse.ts";
import { MdnsPrinter, serviceRecords } from "../../sim/mdns-printer.ts";

const types = ["_ipp._tcp"];
const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

/** Browses until the condition of the responder holds, then gives up waiting for more. */
async function browsed(printer: MdnsPrinter, enough: () => boolean) {
  const done = new AbortController();
  const look = setInterval(() => enough() && done.abort(), 10);
  try {
    return await browse({ types, forMs: 10_000, clock: systemClock, signal: done.signal, ...printer.network });
  } finally {
    clearInterval(look);
  }
}

test("a printer that answers in one packet, and one that must be asked for each record", async () => {
  const all = serviceRecords("_ipp._tcp", 631, ["rp=ipp/print"]);
  let asked = 0;
  const printer = await MdnsPrinter.start((question) => {
    asked += 1;
    // Bytes that are no packet come between.
    if (asked === 2) return Buffer.from("not DNS at all");
    return all.filter(({ name }) => name.toLowerCase() === question.toLowerCase());
  });
  stops.push(() => printer.stop());
  // The question after the one for the address: the answer to that has come.
  const enough = () => printer.questions.lastIndexOf("_ipp._tcp.local") > printer.questions.indexOf("acme.local");
  const services = await browsed(printer, () => printer.questions.includes("acme.local") && enough());
  expect(services).toMatchObject([{ name: "Lobby Laser", host: "acme.local", port: 631, addresses: ["127.0.0.1"] }]);
  expect(new Set(printer.questions)).toEqual(new Set(["_ipp._tcp.local", "Lobby Laser._ipp._tcp.local", "acme.local"]));
});

test("a port that another program has for itself is told", async () => {
  const owner = createSocket({ type: "udp4" });
  owner.bind(0);
  await once(owner, "listening");
  stops.push(() => owner.close());
  const network = { interfaces: ["127.0.0.1"], port: owner.address().port };
  const browsing = browse({ types, forMs: 50, clock: systemClock, signal: new AbortController().signal, ...network });
  await expect(browsing).rejects.toMatchObject({ name: "BrowseError", code: "EADDRINUSE" });
  await expect(
    browse({ types, forMs: 50, clock: systemClock, signal: new AbortController().signal, interfaces: [] }),
  ).rejects.toMatchObject({ code: "ENETUNREACH" });
});
