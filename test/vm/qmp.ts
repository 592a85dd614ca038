import { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import { createInterface } from "node:readline";

export interface QmpEvent {
  readonly event: string;
  readonly data?: Readonly<Record<string, unknown>>;
}

interface QmpReply {
  readonly id?: number;
  readonly return?: unknown;
  readonly error?: { readonly class: string; readonly desc: string };
}

/** QEMU's machine protocol (docs/interop/qmp-spec): commands answered by id, and events. */
export class Qmp {
  readonly #socket: Socket;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  readonly #events = new EventEmitter<{ event: [QmpEvent] }>();
  readonly #greeted = Promise.withResolvers<void>();
  #lastId = 0;

  static async over(socket: Socket): Promise<Qmp> {
    const qmp = new Qmp(socket);
    await qmp.#greeted.promise;
    await qmp.execute("qmp_capabilities");
    return qmp;
  }

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#events.setMaxListeners(0);
    createInterface({ input: socket }).on("line", (line) => this.#take(JSON.parse(line)));
    socket.once("close", () => {
      const error = new Error("QEMU closed its control socket");
      this.#greeted.reject(error);
      for (const { reject } of this.#waiting.values()) reject(error);
      this.#waiting.clear();
    });
  }

  execute(command: string, args: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    this.#lastId += 1;
    const answer = Promise.withResolvers<unknown>();
    this.#waiting.set(this.#lastId, answer);
    this.#socket.write(`${JSON.stringify({ execute: command, arguments: args, id: this.#lastId })}\n`);
    return answer.promise;
  }

  /** The next event that fits; ask before doing what causes it. */
  next(fits: (event: QmpEvent) => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = (event: QmpEvent) => {
        if (!fits(event)) return;
        this.#events.off("event", look);
        resolve();
      };
      this.#events.on("event", look);
    });
  }

  #take(message: QmpEvent | QmpReply | { QMP: unknown }): void {
    if ("QMP" in message) {
      this.#greeted.resolve();
      return;
    }
    if ("event" in message) {
      this.#events.emit("event", message);
      return;
    }
    const answer = this.#waiting.get(message.id ?? 0);
    this.#waiting.delete(message.id ?? 0);
    if (message.error === undefined) answer?.resolve(message.return);
    else answer?.reject(new Error(`QEMU: ${message.error.desc}`));
  }
}
