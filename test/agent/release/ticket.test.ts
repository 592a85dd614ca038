import { readFile } from "node:fs/promises";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { openManifest } from "../../../agent/protocol/envelope.ts";
import type { Ticket } from "../../../agent/protocol/ticket.ts";
import { type JobTicket, PrinterError } from "../../../drivers/printer.ts";
import { CARD, documentOf, World } from "./world.ts";

const PASSWORD = "740193";

let world: World;

beforeEach(async () => {
  world = await World.make();
});
afterEach(async () => {
  vi.restoreAllMocks();
  await world.remove();
});

/** The tickets that reached the printer. */
function tickets(): (JobTicket | undefined)[] {
  const seen: (JobTicket | undefined)[] = [];
  const create = world.printer.createJob.bind(world.printer);
  vi.spyOn(world.printer, "createJob").mockImplementation((request, signal) => {
    seen.push(request.ticket);
    return create(request, signal);
  });
  return seen;
}

/** Every manifest has this ticket; the passwords come beside them. */
function withTicket(ticket: Ticket, passwords: readonly string[] = []): void {
  const { central } = world;
  central.forge = (manifest) => ({ ...manifest, ticket });
  const tap = central.tap.bind(central);
  vi.spyOn(central, "tap").mockImplementation(async (asked, signal) => {
    const answer = await tap(asked, signal);
    if (answer.result !== "accepted") return answer;
    const jobPasswords = answer.jobs.flatMap((envelope, index) => {
      const { claimId } = openManifest(envelope, central.manifestKey);
      const password = passwords[index];
      return password === undefined ? [] : [{ claimId, password }];
    });
    return { ...answer, jobPasswords };
  });
}

test("the manifest's ticket goes to the printer, each job with its own password, which is in no record", async () => {
  const seen = tickets();
  withTicket({ copies: 2, "job-password": true, unsupported: "drop" }, [PASSWORD, "0815"]);
  world.central.hold(CARD, documentOf(5000, 1));
  world.central.hold(CARD, documentOf(5000, 2));
  const life = await world.start();
  await world.tapToEnd(life);
  expect(seen).toEqual([
    { copies: 2, "job-password": PASSWORD, unsupported: "drop" },
    { copies: 2, "job-password": "0815", unsupported: "drop" },
  ]);
  expect(JSON.stringify([life.ledger.entries, life.loop.traces])).not.toContain(PASSWORD);
  await world.stop(life);
  expect(await readFile(world.ledgerPath, "utf8")).not.toContain(PASSWORD);
});

test("a password that did not come keeps the job held, and no job is made at the printer", async () => {
  withTicket({ "job-password": true });
  const job = world.central.hold(CARD, documentOf(5000));
  const life = await world.start();
  await world.tapToEnd(life);
  expect(world.central.outcomes).toMatchObject([{ word: "not printed", reason: "job-password-missing" }]);
  expect(job.state).toBe("held");
  expect(world.printer.jobs).toEqual([]);
  await world.stop(life);
});

test("what the printer cannot do is told with the outcome, in the ledger and in the trace; it is not tried again", async () => {
  const refusal = new PrinterError("printer-ticket-unsupported", "sides two-sided-long-edge", { nothingSent: true });
  const create = vi.spyOn(world.printer, "createJob").mockRejectedValue(refusal);
  withTicket({ sides: "two-sided-long-edge", unsupported: "hold" });
  const job = world.central.hold(CARD, documentOf(5000));
  const life = await world.start();
  await world.tapToEnd(life);
  const why = { reason: "printer-ticket-unsupported", detail: "sides two-sided-long-edge" };
  expect(create).toHaveBeenCalledTimes(1);
  expect(world.central.outcomes).toMatchObject([{ word: "not printed", state: "RETURNED", ...why }]);
  expect(life.ledger.entries.at(-1)?.release.end).toMatchObject(why);
  expect(life.loop.traces.at(-1)?.jobs).toMatchObject([why]);
  expect(job.state).toBe("held");
  await world.stop(life);
  // After a restart the ledger still says it.
  const again = await world.start();
  expect(again.ledger.entries.at(-1)?.release.end).toMatchObject(why);
  await world.stop(again);
});

test("Print-Job refused for the ticket's sake was not taken: the job is held", async () => {
  world.printer.hasCreateJob = false;
  world.printer.sendFaults = ["printer-ticket-unsupported"];
  withTicket({ copies: 2 });
  const job = world.central.hold(CARD, documentOf(5000));
  const life = await world.start();
  await world.tapToEnd(life);
  expect(world.central.outcomes).toMatchObject([{ word: "not printed", reason: "printer-ticket-unsupported" }]);
  expect(job.state).toBe("held");
  await world.stop(life);
});
