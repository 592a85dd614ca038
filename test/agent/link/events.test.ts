import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { EventStreamParser, type ServerEvent } from "../../../agent/link/events.ts";

const read = (text: string): ServerEvent[] => new EventStreamParser().push(Buffer.from(text));

describe("the event stream format", () => {
  it("has events, their type, data of several lines, and the last id", () => {
    expect(read("id: e-1\nevent: policy\ndata: {}\n\ndata: one\ndata:two\ndata\n\n")).toEqual([
      { type: "policy", data: "{}", id: "e-1" },
      { type: "message", data: "one\ntwo\n", id: "e-1" },
    ]);
  });

  it("ends lines with LF, CR or CRLF, and may begin with a byte order mark", () => {
    for (const end of ["\n", "\r", "\r\n"]) {
      expect(read(`\ufeffevent: a${end}data: x${end}${end}data: y${end}${end}`)).toEqual([
        { type: "a", data: "x", id: "" },
        { type: "message", data: "y", id: "" },
      ]);
    }
  });

  it("passes over comments, unknown fields and events without data; an unfinished event is none", () => {
    expect(read(": heartbeat\n\nretry: 5\nfoo: bar\n\nevent: x\n\nid: 7\n\ndata: unfinished\n")).toEqual([]);
    expect(read("id: 7\n\ndata: a\n\n")).toEqual([{ type: "message", data: "a", id: "7" }]);
  });

  it("keeps an id out that could not go into a header, or is endless", () => {
    expect(
      read(`id: a b\ndata: x\n\nid: ${"x".repeat(300)}\ndata: y\n\nid: \u0000\ndata: z\n\n`).map(({ id }) => id),
    ).toEqual(["", "", ""]);
  });

  it("drops what is too long, counts it, and reads on after it", () => {
    const parser = new EventStreamParser();
    const long = `data: ${"x".repeat(100_000)}\n\n`;
    const many = `${"data: 0123456789\n".repeat(10_000)}\n`;
    expect(parser.push(Buffer.from(`${long}${many}data: fine\n\n`))).toEqual([
      { type: "message", data: "fine", id: "" },
    ]);
    expect(parser.dropped).toBe(2);
  });

  it("gives the same events for any cutting of the same bytes", () => {
    const piece = fc.constantFrom(
      "data: x",
      "data",
      "event: policy",
      "id: e-1",
      ":",
      "\n",
      "\r",
      "\r\n",
      "ä",
      "\ufeff",
      " ",
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 60 }), fc.array(fc.nat(200)), (pieces, cuts) => {
        const bytes = Buffer.from(pieces.join(""));
        const parser = new EventStreamParser();
        const places = [0, ...cuts.filter((at) => at < bytes.length).sort((a, b) => a - b), bytes.length];
        const cut = places.slice(1).flatMap((end, index) => parser.push(bytes.subarray(places[index], end)));
        expect(cut).toEqual(new EventStreamParser().push(bytes));
      }),
    );
  });

  it("takes any garbage, and after two line ends it is in step again", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 500 }), (bytes) => {
        const parser = new EventStreamParser();
        parser.push(bytes);
        parser.push(Buffer.from("\n\n"));
        expect(parser.push(Buffer.from("event: policy\ndata: {}\n\n"))).toMatchObject([{ type: "policy", data: "{}" }]);
      }),
    );
  });
});
