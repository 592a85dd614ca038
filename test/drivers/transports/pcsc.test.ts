import { EventEmitter } from "node:events";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { silentLog } from "../../../drivers/log.ts";
import { ASK, PcscTransport } from "../../../drivers/transports/pcsc.ts";
import type { PcscLibrary } from "../../../drivers/transports/pcsc-service.ts";
import { heldInterfaces } from "../../../drivers/transports/usb-drivers.ts";
import { FakeClock } from "../../sim/clock.ts";
import { turns } from "../readers/scripted-transport.ts";

const ACR = "ACS ACR122U PICC Interface 00 00";
const PRESENT = 32;
const MUTE = 512;
const EMPTY = 16;

class FakeCard {
  readonly got: string[] = [];
  disconnects = 0;
  answer: () => Promise<Uint8Array> = async () => Buffer.from("04a2b3c49000", "hex");
  transmit(apdu: Uint8Array): Promise<Uint8Array> {
    this.got.push(Buffer.from(apdu).toString("hex"));
    return this.answer();
  }
  control(code: number, bytes?: Uint8Array): Promise<Uint8Array> {
    this.got.push(`${code} ${Buffer.from(bytes ?? []).toString("hex")}`);
    return this.answer();
  }
  async state() {
    return { atr: Buffer.from("3b8f8001", "hex") };
  }
  async disconnect(): Promise<void> {
    this.disconnects += 1;
  }
}

class FakeReader extends EventEmitter {
  readonly card = new FakeCard();
  readonly modes: number[] = [];
  refuses = false;
  readonly #name: string;
  constructor(name: string) {
    super();
    this.#name = name;
  }
  name(): string {
    return this.#name;
  }
  async connect(mode: number): Promise<FakeCard> {
    this.modes.push(mode);
    if (this.refuses) throw Object.assign(new Error("no"), { code: "SharingViolation" });
    return this.card;
  }
  status(raw: number): Promise<void> {
    this.emit("change", { raw });
    return turns();
  }
}

class FakeClient extends EventEmitter {
  readonly world: World;
  stops = 0;
  constructor(world: World) {
    super();
    this.world = world;
    world.clients.push(this);
  }
  start(): void {
    if (!this.world.running) throw Object.assign(new Error("no"), { code: "NoService" });
    for (const reader of this.world.readers) this.emit("reader", reader);
  }
  stop(): void {
    this.stops += 1;
    if (!this.world.running) throw Object.assign(new Error("no"), { code: "NoService" });
  }
}

/** A machine with a PC/SC service and these readers. */
interface World {
  running: boolean;
  silence: string | undefined;
  readonly readers: FakeReader[];
  readonly clients: FakeClient[];
}

let usbDrivers: string;
beforeEach(async () => {
  usbDrivers = await mkdtemp(join(tmpdir(), "drivers-"));
});
afterEach(() => rm(usbDrivers, { recursive: true }));

function machine(names: readonly string[], readerName = "ACS ACR122U", load?: () => Promise<PcscLibrary>) {
  const world: World = {
    running: true,
    silence: undefined,
    readers: names.map((name) => new FakeReader(name)),
    clients: [],
  };
  const clock = new FakeClock();
  const library: PcscLibrary = {
    Client: class extends FakeClient {
      constructor() {
        super(world);
      }
    },
    CardMode: { SHARED: 2, DIRECT: 3 },
    CardDisposition: { LEAVE: 0 },
    Protocol: { ANY: 3, UNSET: 0 },
    ReaderStatus: { PRESENT, MUTE },
    controlCode: (code) => 0x4200_0000 + code,
  };
  const transport = new PcscTransport(
    readerName,
    { clock, log: silentLog },
    { load: load ?? (async () => library), silence: async () => world.silence, usbDrivers },
  );
  const told: string[] = [];
  const lost: string[] = [];
  const listener = {
    data: (bytes: Uint8Array) => void told.push(Buffer.from(bytes).toString("hex")),
    closed: (error: { code: string }) => void lost.push(error.code),
  };
  const open = async () => {
    const opening = transport.open(listener);
    opening.catch(() => {});
    await turns();
    clock.advance(100);
    await turns();
    clock.advance(1000);
    return opening;
  };
  const begin = async () => {
    await open();
    await transport.write(Uint8Array.of(ASK.begin));
    await turns();
    told.splice(0);
  };
  return { world, clock, transport, told, lost, open, begin, reader: world.readers[0] ?? new FakeReader("none") };
}

const code = async (doing: Promise<unknown>) =>
  doing.then(
    () => "none",
    (error: { code: string; detail: string }) => error.code,
  );

describe("which reader", () => {
  test("the one of that name, though others begin with it; otherwise the only one that begins so", async () => {
    for (const name of ["Virtual PCD 00 0", "Virtual PCD 00 00"]) {
      const { open, transport, told } = machine(["Other", "Virtual PCD 00 00"], name);
      await open();
      await transport.write(Uint8Array.of(ASK.begin));
      expect(told).toEqual([`00${Buffer.from("Virtual PCD 00 00").toString("hex")}`]);
      await transport.close();
    }
    const { open, transport } = machine(["ACS 1", "ACS 1 again"], "ACS 1");
    expect(await code(open())).toBe("none");
    await transport.close();
  });

  test("none when two fit, also when the second comes later", async () => {
    const { open, transport } = machine([ACR, "ACS ACR122U PICC Interface 01 00"]);
    expect(await code(open())).toBe("reader-ambiguous");
    await transport.close();
    const later = machine([ACR]);
    await later.begin();
    later.world.clients[0]?.emit("reader", new FakeReader("ACS ACR122U PICC Interface 01 00"));
    expect(later.lost).toEqual(["reader-ambiguous"]);
    await expect(later.transport.write(Uint8Array.of(ASK.begin))).rejects.toMatchObject({ code: "reader-lost" });
    await later.transport.close();
  });

  test("an absent one is told to who watches, as soon as it is there", async () => {
    const { open, transport, world } = machine(["Other"]);
    let appeared = 0;
    const unwatch = transport.watch(() => {
      appeared += 1;
    });
    expect(await code(open())).toBe("reader-absent");
    world.clients[0]?.emit("reader", new FakeReader("Another"));
    expect(appeared).toBe(0);
    const reader = new FakeReader(ACR);
    world.clients[0]?.emit("reader", reader);
    expect(appeared).toBe(1);
    expect(await code(open())).toBe("none");
    reader.emit("disconnect");
    expect(world.clients.map(({ stops }) => stops)).toEqual([0]);
    unwatch();
    await turns();
    expect(world.clients.map(({ stops }) => stops)).toEqual([1]);
    await transport.close();
  });
});

describe("what is missing has a code of its own", () => {
  test("the package", async () => {
    const { open } = machine([], "x", async () => {
      throw new Error("Cannot find package 'pcsc-mini'");
    });
    expect(await code(open())).toBe("pcsc-library-missing");
  });

  test("the service, at the open and later", async () => {
    const { world, open, lost, begin } = machine([ACR]);
    world.running = false;
    expect(await code(open())).toBe("pcsc-service-missing");
    world.running = true;
    await begin();
    world.running = false;
    world.clients.at(-1)?.emit("error", Object.assign(new Error("gone"), { code: "CommError" }));
    expect([lost, world.clients.at(-1)?.stops]).toEqual([["pcsc-service-missing"], 1]);
  });

  test("the service that does not answer is neither started nor stopped: both would block us as long as it is silent", async () => {
    const { world, open, begin, transport } = machine([ACR]);
    world.silence = "does not answer";
    expect([await code(open()), world.clients.length]).toEqual(["pcsc-service-missing", 0]);
    world.silence = undefined;
    await begin();
    world.silence = "does not answer";
    await transport.close();
    expect(world.clients.map(({ stops }) => stops)).toEqual([0]);
  });

  test("the reader, because a driver of the kernel holds it", async () => {
    await mkdir(join(usbDrivers, "pn533_usb", "1-1.2:1.0"), { recursive: true });
    const { open, transport } = machine(["Other"]);
    await expect(open()).rejects.toMatchObject({ code: "reader-kernel-driver", detail: "pn533_usb at 1-1.2:1.0" });
    await transport.close();
  });

  test("what stands in a driver's folder beside devices is none", () => {
    expect(heldInterfaces(["bind", "module", "new_id", "remove_id", "uevent", "unbind"])).toEqual([]);
    expect(heldInterfaces(["1-1:1.0", "2-1.4.2:1.1", "1-1"])).toEqual(["1-1:1.0", "2-1.4.2:1.1"]);
  });
});

describe("a card", () => {
  test("is told with its ATR, answers, and is let go when it is gone", async () => {
    const { begin, reader, told, transport } = machine([ACR]);
    await begin();
    await reader.status(PRESENT);
    await reader.status(PRESENT | 256);
    await transport.write(Buffer.from("01ffca000000", "hex"));
    await turns();
    await reader.status(EMPTY);
    expect([told, reader.card.got, reader.card.disconnects]).toEqual([
      ["013b8f8001", "0404a2b3c49000", "03"],
      ["ffca000000"],
      1,
    ]);
    await transport.close();
    expect(reader.card.disconnects).toBe(1);
  });

  test("that does not answer is mute, one that another program holds is unreachable and tried again when asked", async () => {
    const { begin, reader, told, transport } = machine([ACR]);
    await begin();
    await reader.status(PRESENT | MUTE);
    await reader.status(EMPTY);
    reader.refuses = true;
    await reader.status(PRESENT);
    reader.refuses = false;
    await transport.write(Uint8Array.of(ASK.connect));
    await turns();
    expect([told, transport.counters.connectFailed]).toEqual([["02", "03", "06", "013b8f8001"], 1]);
    await transport.close();
    expect(reader.card.disconnects).toBe(1);
  });

  test("that was there before is told when we begin", async () => {
    const { open, reader, told, transport } = machine([ACR]);
    await open();
    await reader.status(PRESENT);
    expect(told).toEqual([]);
    await transport.write(Uint8Array.of(ASK.begin));
    await turns();
    expect(told.at(-1)).toBe("013b8f8001");
    await transport.close();
  });

  test("that is gone before we are connected is let go, and the next one is told once", async () => {
    const { begin, reader, told, transport } = machine([ACR]);
    await begin();
    for (const raw of [PRESENT, EMPTY, PRESENT]) reader.emit("change", { raw });
    await turns();
    expect([told, reader.modes.length, reader.card.disconnects]).toEqual([["03", "013b8f8001"], 2, 1]);
    await transport.close();
    expect(reader.card.disconnects).toBe(2);
  });

  test("connected to after a close is let go", async () => {
    const { begin, reader, told, transport } = machine([ACR]);
    await begin();
    reader.emit("change", { raw: PRESENT });
    await transport.close();
    await turns();
    expect([told, reader.card.disconnects]).toEqual([[], 1]);
  });
});

test("a command for the reader goes by its card, or directly, and a refusal is told", async () => {
  const { begin, reader, told, transport } = machine([ACR]);
  await begin();
  await transport.write(Buffer.from("02ff00520000", "hex"));
  await turns();
  expect([reader.modes, reader.card.got, reader.card.disconnects]).toEqual([[3], ["1107296257 ff00520000"], 1]);
  reader.card.answer = async () => {
    throw Object.assign(new Error("no"), { code: "NotTransacted" });
  };
  await transport.write(Buffer.from("02ff00520000", "hex"));
  await turns();
  await transport.write(Buffer.from("01ff00520000", "hex"));
  await turns();
  expect(told).toEqual(["0404a2b3c49000", "05", "05"]);
  await transport.close();
});
