import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import dnsPacket, { type Answer } from "dns-packet";

/** On the loopback interface; a port of its own keeps it from the machine's real responder. */
const GROUP = "224.0.0.251";
const LOOPBACK = "127.0.0.1";

/** A responder that answers each PTR question with one packet of the given records, on a free port of the loopback interface. */
export class MdnsPrinter {
  readonly network: { readonly interfaces: readonly string[]; readonly port: number };
  readonly questions: string[] = [];
  readonly #socket: Socket;

  private constructor(socket: Socket, port: number) {
    this.#socket = socket;
    this.network = { interfaces: [LOOPBACK], port };
  }

  static async start(answer: (question: string) => readonly Answer[] | Buffer): Promise<MdnsPrinter> {
    const socket = createSocket({ type: "udp4", reuseAddr: true });
    socket.bind(0);
    await once(socket, "listening");
    const { port } = socket.address();
    const printer = new MdnsPrinter(socket, port);
    socket.addMembership(GROUP, LOOPBACK);
    socket.setMulticastInterface(LOOPBACK);
    socket.on("message", (bytes) => {
      for (const name of questionsOf(bytes)) {
        printer.questions.push(name);
        const answers = answer(name);
        const reply = Buffer.isBuffer(answers)
          ? answers
          : dnsPacket.encode({ type: "response", answers: [...answers] });
        socket.send(reply, port, GROUP);
      }
    });
    return printer;
  }

  async stop(): Promise<void> {
    this.#socket.close();
    await once(this.#socket, "close");
  }
}

/** It hears itself too, and may have sent anything. */
function questionsOf(bytes: Buffer): readonly string[] {
  try {
    const { type, questions = [] } = dnsPacket.decode(bytes);
    return type === "query" ? questions.map(({ name }) => name) : [];
  } catch {
    return [];
  }
}

/** What a printer says of one of its services; the host has the address of the loopback interface. */
export function serviceRecords(type: string, port: number, txt: readonly string[], name = "Lobby Laser"): Answer[] {
  const instance = `${name}.${type}.local`;
  return [
    { name: `${type}.local`, type: "PTR", ttl: 4500, data: instance },
    { name: instance, type: "SRV", ttl: 120, data: { port, target: "acme.local" } },
    { name: instance, type: "TXT", ttl: 4500, data: [...txt] },
    { name: "acme.local", type: "A", ttl: 120, data: LOOPBACK },
  ];
}
