import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { pcscdSilence } from "../../../drivers/transports/pcscd-answers.ts";
import { FakeClock } from "../../sim/clock.ts";

let folder: string;
let service: Server | undefined;
const clients = new Set<Socket>();

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "printgate-pcscd-"));
  vi.stubEnv("PCSCLITE_CSOCK_NAME", join(folder, "pcscd.comm"));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  for (const client of clients) client.destroy();
  clients.clear();
  if (service !== undefined) await new Promise<void>((closed) => service?.close(() => closed()));
  service = undefined;
  await rm(folder, { recursive: true });
});

async function serve(answer: (client: Socket) => void): Promise<void> {
  service = createServer((client) => {
    clients.add(client);
    answer(client);
  });
  service.listen(process.env.PCSCLITE_CSOCK_NAME);
  await once(service, "listening");
}

test("a service that answers is not silent, whatever it says", async () => {
  await serve((client) => client.once("data", () => client.write("version")));
  const clock = new FakeClock();
  expect(await pcscdSilence(clock)).toBeUndefined();
  expect(clock.pending).toBe(0);
});

test("a service that takes the question and hangs does not answer", async () => {
  const asked = Promise.withResolvers<Buffer>();
  await serve((client) => client.once("data", (question: Buffer) => asked.resolve(question)));
  const clock = new FakeClock();
  const silence = pcscdSilence(clock);
  expect((await asked.promise).readUInt32LE(4)).toBe(0x11);
  clock.advance(3000);
  expect(await silence).toBe("does not answer");
});

test("one that refuses, and one that is not there", async () => {
  await serve((client) => client.end());
  expect(await pcscdSilence(new FakeClock())).toBe("refuses");
  vi.stubEnv("PCSCLITE_CSOCK_NAME", join(folder, "nobody"));
  expect(await pcscdSilence(new FakeClock())).toBe("ENOENT");
});
