import type { ReaderSettings } from "../../drivers/readers/open-reader.ts";
import type { ReaderEvent } from "./guest/readers.ts";
import type { Guest, GuestProgram } from "./guest.ts";

/** The agent's readers in the guest, as the agent's unprivileged user, with all that they have told so far. */
export class ReaderProgram {
  readonly #program: GuestProgram;

  static start(guest: Guest, settings: readonly ReaderSettings[]): ReaderProgram {
    const text = JSON.stringify(settings).replaceAll("'", "");
    const command = `exec node /opt/printgate/vm/readers.mjs "$0"`;
    // su gives the user's supplementary groups (dialout), which Node's own uid option takes away.
    const program = guest.start("readers", `exec su -s /bin/sh -c '${command}' printgate '${text}'`);
    return new ReaderProgram(program);
  }

  private constructor(program: GuestProgram) {
    this.#program = program;
  }

  get events(): readonly ReaderEvent[] {
    return eventsOf(this.#program.output);
  }

  reads(reader: string): string[] {
    return this.events.flatMap((event) => (event.reader === reader && "read" in event ? [event.read] : []));
  }

  /** Every state that the reader was in, as `ready` or `failed reader-not-inhibited`. */
  states(reader: string): string[] {
    return statesOf(this.events, reader);
  }

  /** Resolves at the `times`th time that the reader comes into a state. */
  async state(reader: string, state: string, times = 1): Promise<void> {
    const reached = (output: string) =>
      statesOf(eventsOf(output), reader).filter((one) => one === state).length >= times || undefined;
    await this.#program.until(`${reader} ${state}, ${times} times`, reached);
  }

  /** Resolves when the reader has delivered so many reads. */
  async readCount(reader: string, count: number): Promise<void> {
    const mark = `{"reader":${JSON.stringify(reader)},"read":`;
    const enough = (output: string) => output.split(mark).length > count || undefined;
    await this.#program.until(`${count} reads of ${reader}`, enough);
  }

  /** Stops the readers as the agent does; what they counted. */
  async stop(): Promise<Readonly<Record<string, Readonly<Record<string, number>>>>> {
    await this.#program.stop();
    return Object.fromEntries(
      this.events.flatMap((event) => ("counters" in event ? [[event.reader, event.counters]] : [])),
    );
  }
}

function statesOf(events: readonly ReaderEvent[], reader: string): string[] {
  return events.flatMap((event) =>
    event.reader === reader && "status" in event ? [[event.status, event.code ?? ""].join(" ").trim()] : [],
  );
}

/** What is not JSON are warnings for people. */
function eventsOf(output: string): ReaderEvent[] {
  return output
    .slice(0, output.lastIndexOf("\n") + 1)
    .split("\n")
    .flatMap((line) => (line.startsWith("{") ? [JSON.parse(line) as ReaderEvent] : []));
}
