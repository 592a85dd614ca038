import { once } from "node:events";
import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";
import { type Clock, pause } from "../../drivers/clock.ts";
import type { WireAct } from "./mfd-faults.ts";

/** The sender went away before the end of its request. */
export class CutShort extends Error {}

/** Slow reading goes in steps of this many octets. */
const STEP = 512;
/** A name-length of -9 for those who read it as signed, 65527 for others: 12 octets on which some parsers hang. */
const GARBAGE = Buffer.from("0121fff7", "hex");
const ENDLESS_HEADER = Buffer.from("x-endless: 0123456789abcdef0123456789abcdef0123456789abcdef\r\n");
/** One more value of an attribute: a keyword without a name (RFC 8010 3.1.5). */
const ENDLESS_BODY = Buffer.from("44000000046d6f7265", "hex");

/** Resolves when the client has left: what a printer that hangs waits for. */
export async function left(socket: Socket): Promise<void> {
  if (!socket.destroyed) await once(socket, "close");
}

/** A document as a failing printer takes it. */
export async function* shaped(
  document: AsyncIterable<Uint8Array>,
  act: WireAct | undefined,
  socket: Socket,
  clock: Clock,
): AsyncGenerator<Uint8Array> {
  if (act?.does === "slow") {
    for await (const chunk of document) {
      for (let at = 0; at < chunk.length; at += STEP) {
        const piece = chunk.subarray(at, at + STEP);
        await pause(clock, (piece.length * 1000) / act.bytesPerS);
        if (socket.destroyed) throw new CutShort("the client left");
        yield piece;
      }
    }
    return;
  }
  if (act?.does !== "reset" && act?.does !== "stall") return yield* document;
  let taken = 0;
  for await (const chunk of document) {
    const rest = act.afterBytes - taken;
    if (chunk.length < rest) {
      taken += chunk.length;
      yield chunk;
      continue;
    }
    if (rest > 0) yield chunk.subarray(0, rest);
    if (act.does === "reset") socket.resetAndDestroy();
    await left(socket);
    throw new CutShort(`the printer ${act.does}s`);
  }
}

/** What goes out in place of `reply`; true if that was all. */
export async function answerBadly(
  act: WireAct,
  bytes: Uint8Array,
  response: ServerResponse,
  socket: Socket,
): Promise<boolean> {
  const reply = Buffer.from(bytes);
  const head = { "content-type": "application/ipp" };
  switch (act.does) {
    case "mute":
      await left(socket);
      return true;
    case "hang-up":
      socket.destroy();
      return true;
    case "corrupt":
      response.writeHead(200, head).end(Buffer.concat([reply.subarray(0, 8), GARBAGE]));
      return true;
    case "wrong-id": {
      const other = Buffer.from(reply);
      other.writeUInt32BE((other.readUInt32BE(4) % 0x7fffffff) + 1, 4);
      response.writeHead(200, head).end(other);
      return true;
    }
    case "endless-header":
      socket.write("HTTP/1.1 200 OK\r\n");
      await pour(ENDLESS_HEADER, (bytes) => socket.write(bytes), socket);
      return true;
    case "endless-body": {
      response.writeHead(200, head).write(reply.subarray(0, reply.length - 1));
      const many = Buffer.concat(Array.from({ length: 1000 }, () => ENDLESS_BODY));
      await pour(many, (bytes) => response.write(bytes), socket);
      return true;
    }
    case "one-byte":
      response.writeHead(200, { ...head, "content-length": reply.length });
      for (const octet of reply) {
        if (socket.destroyed) return true;
        response.write(Uint8Array.of(octet));
        await nextTurn();
      }
      response.end();
      return true;
    case "deaf":
    case "status":
    case "reset":
    case "stall":
    case "slow":
      return false;
  }
}

/** Until the client has had enough. */
async function pour(bytes: Buffer, write: (bytes: Buffer) => boolean, socket: Socket): Promise<void> {
  const gone = left(socket);
  while (!socket.destroyed) {
    if (write(bytes)) await nextTurn();
    else await Promise.race([once(socket, "drain").catch(() => {}), gone]);
  }
}
