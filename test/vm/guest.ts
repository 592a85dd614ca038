import { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import { createInterface } from "node:readline";
import type { FromGuest, ToGuest } from "./guest/messages.ts";

const SHELL_MS = 30_000;

/** What the guest's control program can do for a test. */
export class Guest {
  readonly #socket: Socket;
  readonly #messages = new EventEmitter<{ message: [FromGuest] }>();
  readonly #waiting = new Map<number, (ended: { code: number; output: string }) => void>();
  readonly #ready = Promise.withResolvers<void>();
  #lastId = 0;

  /** Resolves when the control program runs. */
  static async over(socket: Socket): Promise<Guest> {
    const guest = new Guest(socket);
    await guest.#ready.promise;
    return guest;
  }

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#messages.setMaxListeners(0);
    createInterface({ input: socket }).on("line", (line) => this.#take(JSON.parse(line) as FromGuest));
    socket.once("close", () => this.#ready.reject(new Error("the machine ended before its control program ran")));
  }

  /** What the command printed; rejects when it fails. */
  async shell(command: string): Promise<string> {
    const { code, output } = await this.attempt(command);
    if (code !== 0) throw new Error(`in the guest, exit ${code}: ${command}\n${output}`);
    return output;
  }

  attempt(command: string): Promise<{ code: number; output: string }> {
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((resolve, reject) => {
      const deadline = setTimeout(() => {
        this.#waiting.delete(id);
        reject(new Error(`in the guest, not over after ${SHELL_MS} ms: ${command}`));
      }, SHELL_MS);
      this.#waiting.set(id, (ended) => {
        clearTimeout(deadline);
        resolve(ended);
      });
      this.#send({ do: "shell", id, command });
    });
  }

  start(name: string, command: string): GuestProgram {
    const program = new GuestProgram(name, this.#messages, (message) => this.#send(message));
    this.#send({ do: "start", name, command });
    return program;
  }

  #send(message: ToGuest): void {
    this.#socket.write(`${JSON.stringify(message)}\n`);
  }

  #take(message: FromGuest): void {
    if (message.is === "ready") this.#ready.resolve();
    if (message.is === "ended") {
      this.#waiting.get(message.id)?.(message);
      this.#waiting.delete(message.id);
    }
    this.#messages.emit("message", message);
  }
}

/** A program that runs in the guest until it is stopped, and all that it has printed. */
export class GuestProgram {
  readonly name: string;
  readonly #messages: EventEmitter<{ message: [FromGuest] }>;
  readonly #send: (message: ToGuest) => void;
  #output = "";
  #over = false;

  constructor(name: string, messages: EventEmitter<{ message: [FromGuest] }>, send: (message: ToGuest) => void) {
    this.name = name;
    this.#messages = messages;
    this.#send = send;
    const look = (message: FromGuest) => {
      if (message.is === "output" && message.name === name) this.#output += message.text;
      if (message.is !== "exit" || message.name !== name) return;
      this.#over = true;
      messages.off("message", look);
    };
    messages.on("message", look);
  }

  get output(): string {
    return this.#output;
  }

  input(text: string): void {
    this.#send({ do: "input", name: this.name, text });
  }

  /** Resolves with the first value that `find` makes of what was printed; looks again whenever more is. */
  until<T>(what: string, find: (output: string) => T | undefined, ms = 20_000): Promise<T> {
    return new Promise((resolve, reject) => {
      const settle = (run: () => void) => {
        clearTimeout(deadline);
        this.#messages.off("message", look);
        run();
      };
      const look = () => {
        const found = find(this.#output);
        if (found !== undefined) settle(() => resolve(found));
        else if (this.#over) settle(() => reject(new Error(`${this.name} ended before: ${what}\n${this.#output}`)));
      };
      const late = () => reject(new Error(`${this.name}, not within ${ms} ms: ${what}\n${this.#output.slice(-2000)}`));
      const deadline = setTimeout(() => settle(late), ms);
      this.#messages.on("message", look);
      look();
    });
  }

  async stop(): Promise<void> {
    if (this.#over) return;
    this.#send({ do: "kill", name: this.name, signal: "SIGTERM" });
    await this.until("its end", () => (this.#over ? true : undefined));
  }
}
