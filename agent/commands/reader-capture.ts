import { type Clock, pause, systemClock } from "../../drivers/clock.ts";
import type { CapturedFrame } from "../../drivers/reader.ts";
import { controlSocketPath } from "../agent.ts";
import { askCaptured, type CapturedFrames, MAX_CAPTURE_MS, startCapture } from "../health/control-socket.ts";
import { CommandError, EXIT, type Invocation, secondsOption } from "./command.ts";
import { configOf } from "./configured-agent.ts";

const POLL_MS = 250;

/** Streams frames of a running agent's reader. With --json each frame is a line of its own. */
export async function captureReader(
  invocation: Invocation,
  words: readonly string[],
  clock: Clock = systemClock,
): Promise<number> {
  const [name, ...rest] = words;
  if (name === undefined || rest.length > 0) throw new CommandError("usage", "reader capture takes one NAME");
  const forMs = secondsOption(invocation, "seconds", 60, MAX_CAPTURE_MS / 1000) * 1000;
  const { terminal, signal } = invocation;
  const { agent, readers } = await configOf(invocation);
  const socket = controlSocketPath(agent.stateDir);
  if (!readers.some((reader) => reader.name === name)) throw new CommandError("reader-unknown", name);
  const begun = await startCapture(socket, name, forMs).catch((cause: unknown) => {
    throw new CommandError("reader-unknown", name, { cause });
  });
  if (begun === undefined) throw new CommandError("agent-not-running", socket);
  const startedAt = clock.monotonic();
  terminal.note(`For ${forMs / 1000} s: what goes over the line of ${name}. Ctrl-C ends it.`);
  let told = 0;
  let first: number | undefined;
  // Keeps the process alive between the polls.
  const alive = setInterval(() => {}, 2 ** 30);
  try {
    for (let over = false; !over; ) {
      await pause(clock, POLL_MS, signal);
      over = signal.aborted || clock.monotonic() - startedAt >= forMs;
      const { frames } = await captured(socket, name);
      const fresh = frames.filter(({ number }) => number > told);
      const missed = (fresh[0]?.number ?? told + 1) - told - 1;
      if (missed > 0) terminal.note(`${missed} frame(s) came faster than they could be shown.`);
      for (const frame of fresh) {
        first ??= frame.at;
        show(invocation, frame, frame.at - first);
        told = frame.number;
      }
    }
  } finally {
    clearInterval(alive);
  }
  terminal.note(told === 0 ? "Nothing went over its line." : `${told} frame(s).`);
  return EXIT.ok;
}

async function captured(socket: string, name: string): Promise<CapturedFrames> {
  const answer = await askCaptured(socket, name).catch((cause: unknown) => {
    throw new CommandError("agent-silent", cause instanceof Error ? cause.message : "", { cause });
  });
  if (answer === undefined) throw new CommandError("agent-not-running", "it stopped meanwhile");
  return answer as CapturedFrames;
}

function show({ terminal }: Invocation, { number, direction, length, shape }: CapturedFrame, afterMs: number): void {
  const atMs = Math.round(afterMs);
  terminal.line(
    `${(atMs / 1000).toFixed(3).padStart(9)} s  ${direction.padEnd(3)}  ${String(length).padStart(4)}  ${shape}`,
  );
  terminal.result({ number, atMs, direction, length, shape });
}
