import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { silentLog } from "../../../../drivers/log.ts";
import type { DocumentBody, JobRequest } from "../../../../drivers/printer.ts";
import {
  attribute,
  enumeration,
  integer,
  keyword,
  mediaType,
  stringsOf,
  valuesOf,
} from "../../../../drivers/printers/ipp/attributes.ts";
import type { IppAttribute, IppMessage } from "../../../../drivers/printers/ipp/message.ts";
import { IppPrinter } from "../../../../drivers/printers/ipp/printer.ts";
import { GROUP, OPERATION, STATUS, TAG } from "../../../../drivers/printers/ipp/tags.ts";
import { TICKET_ATTRIBUTES } from "../../../../drivers/printers/ipp/ticket.ts";
import { FakeClock } from "../../../sim/clock.ts";
import { CAPABLE, IDLE, job, printerGroup, ScriptedPrinter } from "./scripted-printer.ts";

const never = new AbortController().signal;
const request: JobRequest = {
  ...{ name: "rel-1", user: "alice", format: "application/pdf" },
  ticket: { copies: 2, sides: "two-sided-long-edge" },
};
const TICKETS = [
  attribute("copies-supported", TAG.rangeOfInteger, { lower: 1, upper: 9 }),
  keyword("sides-supported", "one-sided", "two-sided-long-edge"),
];
const document: DocumentBody = {
  size: 4,
  async *chunks() {
    yield Buffer.from("%PDF");
  },
};
const OLD = [
  enumeration("operations-supported", OPERATION.printJob, OPERATION.validateJob),
  mediaType("document-format-supported", "application/pdf"),
];

let wire: ScriptedPrinter;
let clock: FakeClock;
let printer: IppPrinter;

beforeEach(async () => {
  wire = await ScriptedPrinter.start();
  can(...CAPABLE, ...TICKETS);
  clock = new FakeClock();
  printer = new IppPrinter({ name: "Hall", uri: wire.uri, keyPins: [], clock, log: silentLog });
});

afterEach(async () => {
  await printer.stop();
  await wire[Symbol.asyncDispose]();
});

/** The printer says this of itself from now on. */
function can(...attributes: IppAttribute[]): void {
  wire.answers[OPERATION.getPrinterAttributes] = { groups: [printerGroup(...IDLE, ...attributes)] };
}

const operations = () => wire.requests.map((message) => message.code);
const template = (message: IppMessage | undefined) =>
  message?.groups.filter(({ tag }) => tag === GROUP.job).flatMap(({ attributes }) => attributes);
const fidelity = (message: IppMessage | undefined) => valuesOf(message?.groups[0], "ipp-attribute-fidelity")[0]?.value;
const refused = (detail: string) => expect.objectContaining({ code: "printer-ticket-unsupported", detail });
const ignored = (...names: string[]) => ({
  tag: GROUP.unsupported,
  attributes: names.map((name) => attribute(name, TAG.unsupported, null)),
});
const ASKED = [integer("copies", 2), keyword("sides", "two-sided-long-edge")];

describe("Create-Job", () => {
  test("carries the ticket in its job group, and wants it all or nothing", async () => {
    expect(await printer.createJob(request, never)).toMatchObject({ id: 7 });
    expect(template(wire.requests[1])).toEqual(ASKED);
    expect(fidelity(wire.requests[1])).toBe(true);
  });

  test("without a ticket has neither", async () => {
    await printer.createJob({ ...request, ticket: undefined }, never);
    expect(wire.requests[1]?.groups).toHaveLength(1);
    expect(fidelity(wire.requests[1])).toBeUndefined();
  });

  test("is not asked for what the printer cannot do; the printer is asked anew the next time", async () => {
    const wanted = { ...request, ticket: { finishings: [4] } };
    await expect(printer.createJob(wanted, never)).rejects.toEqual(refused("finishings staple"));
    expect(operations()).toEqual([OPERATION.getPrinterAttributes]);
    // Somebody puts the finisher on.
    can(...CAPABLE, ...TICKETS, enumeration("finishings-supported", 3, 4));
    expect(await printer.createJob(wanted, never)).toMatchObject({ id: 7 });
    expect(template(wire.requests.at(-1))).toEqual([enumeration("finishings", 4)]);
  });

  test("goes without it where it may be dropped", async () => {
    const ticket = { ...request.ticket, finishings: [4], unsupported: "drop" } as const;
    expect(await printer.createJob({ ...request, ticket }, never)).toMatchObject({ id: 7 });
    expect(template(wire.requests[1])).toEqual(ASKED);
    expect(fidelity(wire.requests[1])).toBe(false);
  });

  test("whose job ignores a value is canceled at once", async () => {
    wire.answers[OPERATION.createJob] = {
      code: STATUS.okIgnoredAttributes,
      groups: [ignored("sides"), job(7, "rel-1", 4)],
    };
    await expect(printer.createJob(request, never)).rejects.toEqual(refused("sides two-sided-long-edge"));
    expect(operations()).toEqual([OPERATION.getPrinterAttributes, OPERATION.createJob, OPERATION.cancelJob]);
    const canceled = wire.requests.at(-1)?.groups[0];
    expect(valuesOf(canceled, "job-id")[0]?.value).toBe(7);
    expect(stringsOf(canceled, "requesting-user-name")).toEqual(["alice"]);
  });

  test("whose job cannot be canceled is refused for the same reason", async () => {
    wire.answers[OPERATION.createJob] = {
      code: STATUS.okIgnoredAttributes,
      groups: [ignored("sides"), job(7, "rel-1", 4)],
    };
    wire.script = ({ answer, socket }) => (wire.requests.length > 1 ? socket.destroy() : answer());
    await expect(printer.createJob(request, never)).rejects.toEqual(refused("sides two-sided-long-edge"));
  });

  test("that is refused for the ticket's sake says so, and any other refusal is what it was", async () => {
    wire.answers[OPERATION.createJob] = { code: STATUS.attributesNotSupported, groups: [ignored("copies")] };
    await expect(printer.createJob(request, never)).rejects.toEqual(refused("copies 2"));
    wire.answers[OPERATION.createJob] = { code: STATUS.attributesNotSupported };
    await expect(printer.createJob({ ...request, ticket: undefined }, never)).rejects.toMatchObject({
      detail: "IPP status 0x040b",
    });
  });

  test("tells a printer that waits for a person by default not to, with no ticket at all", async () => {
    can(
      ...CAPABLE,
      keyword("job-release-action-default", "button-press"),
      keyword("job-release-action-supported", "button-press", "none"),
    );
    await printer.createJob({ ...request, ticket: undefined }, never);
    expect(stringsOf(wire.requests[1]?.groups[0], "job-release-action")).toEqual(["none"]);
  });
});

describe("Validate-Job", () => {
  test("is told the ticket, and holds the job where a value would be ignored", async () => {
    can(...OLD, ...TICKETS);
    wire.answers[OPERATION.validateJob] = { code: STATUS.okIgnoredAttributes, groups: [ignored("copies")] };
    await expect(printer.validate(request, never)).rejects.toEqual(refused("copies 2"));
    expect(template(wire.requests[1])).toEqual(ASKED);
    expect(fidelity(wire.requests[1])).toBe(true);
  });

  test("is not needed to know that the printer cannot do it", async () => {
    can(...OLD, ...TICKETS);
    const wanted = { ...request, ticket: { copies: 10 } };
    await expect(printer.validate(wanted, never)).rejects.toEqual(refused("copies 10"));
    expect(operations()).toEqual([OPERATION.getPrinterAttributes]);
  });

  test("is asked once for a ticket, and again for another", async () => {
    can(...OLD, ...TICKETS);
    wire.answers[OPERATION.validateJob] = {};
    await printer.validate(request, never);
    await printer.validate({ ...request, name: "rel-2" }, never);
    await printer.validate({ ...request, ticket: { copies: 3 } }, never);
    expect(operations().filter((code) => code === OPERATION.validateJob)).toHaveLength(2);
  });
});

describe("Print-Job", () => {
  test("carries the ticket", async () => {
    can(...OLD, ...TICKETS);
    expect(await printer.createJob(request, never)).toBeUndefined();
    await printer.send(undefined, request, document, never);
    expect(operations()).toEqual([OPERATION.getPrinterAttributes, OPERATION.printJob]);
    expect(template(wire.requests[1])).toEqual(ASKED);
    expect(fidelity(wire.requests[1])).toBe(true);
  });

  test("refused for the ticket's sake says so, and not that nothing left", async () => {
    can(...OLD, ...TICKETS);
    wire.answers[OPERATION.printJob] = { code: STATUS.attributesNotSupported, groups: [ignored("copies")] };
    const sent = printer.send(undefined, request, document, never);
    await expect(sent).rejects.toEqual(refused("copies 2"));
    await expect(sent).rejects.toMatchObject({ nothingSent: false });
  });

  test("with what the printer cannot do is not begun", async () => {
    can(...OLD, ...TICKETS);
    const wanted = { ...request, ticket: { copies: 10 } };
    const sent = printer.send(undefined, wanted, document, never);
    await expect(sent).rejects.toMatchObject({ code: "printer-ticket-unsupported", nothingSent: true });
    expect(operations()).toEqual([OPERATION.getPrinterAttributes]);
  });
});

test("what a printer can do with tickets is asked every five minutes, not with each state", async () => {
  const asked = () => stringsOf(wire.requests.at(-1)?.groups[0], "requested-attributes").length;
  await printer.state(never);
  const all = asked();
  await printer.state(never);
  const short = asked();
  expect(all - short).toBe(TICKET_ATTRIBUTES.length);
  clock.advance(299_999);
  await printer.state(never);
  expect(asked()).toBe(short);
  clock.advance(1);
  await printer.state(never);
  expect(asked()).toBe(all);
  await printer.createJob(request, never);
  expect(operations().filter((code) => code === OPERATION.getPrinterAttributes)).toHaveLength(4);
});
