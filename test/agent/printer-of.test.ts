import { expect, test } from "vitest";
import { parseConfig } from "../../agent/config/config.ts";
import { printerOf } from "../../agent/printer-of.ts";
import { systemClock } from "../../drivers/clock.ts";
import { silentLog } from "../../drivers/log.ts";
import { ScriptedPrinter } from "../drivers/printers/ipp/scripted-printer.ts";
import { SAMPLE } from "./config/sample.ts";

test("the configured user answers the printer that asks for a login", async () => {
  await using wire = await ScriptedPrinter.start();
  wire.script = ({ req, res, answer }) => {
    if (req.headers.authorization !== undefined) return answer();
    return res.writeHead(401, { "www-authenticate": 'Digest realm="x", nonce="n", qop="auth"' }).end();
  };
  const table = `uri = "${wire.uri}"\nuser = "kim"\npassword = "7431-canary"`;
  const { printers } = await parseConfig(SAMPLE.replace(/uri = .*\nuser = .*\npassword = .*/, table), "p.toml");
  const [settings] = printers;
  if (settings === undefined) throw new Error("the sample has a printer");
  const printer = printerOf(settings, systemClock, silentLog);
  try {
    await printer.state(new AbortController().signal);
    const sent = wire.headers.map(({ authorization }) => authorization ?? "none");
    expect(sent).toEqual(["none", expect.stringMatching(/^Digest username="kim", realm="x", uri="\/ipp\/print", /)]);
    expect(JSON.stringify([sent, printer.counters])).not.toContain("7431");
  } finally {
    await printer.stop();
  }
});
