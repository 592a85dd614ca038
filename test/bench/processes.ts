import { type ChildProcess, type StdioOptions, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

export const ROOT = new URL("../..", import.meta.url).pathname;
/** The locked runtime, whatever Node this machine has. */
const NODE = `${ROOT}node_modules/.bin/node`;

const READY_MS = 30_000;
const STOP_MS = 10_000;

/** Those that run. Whatever ends this process ends them too. */
const running = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** Starts a process that does not outlive this one. */
export function start(
  file: string,
  args: readonly string[],
  stdio: StdioOptions,
  environment: Readonly<Record<string, string>> = {},
): ChildProcess {
  const child = spawn(file, args, { stdio, env: { ...process.env, ...environment } });
  running.add(child);
  child.once("exit", () => running.delete(child));
  return child;
}

/** Rejects with `what` when `ms` are over: a measurement that hangs must say where. */
export function within<T>(ms: number, what: string, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing within ${ms} ms`)), ms);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

/** Ends a process by its own handle, gently first. */
export async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const gone = once(child, "exit");
  child.kill("SIGTERM");
  const kill = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
  await gone;
  clearTimeout(kill);
}

/** One of this folder's scripts in a process of its own. It is told what to do in one message, and answers when it is ready. */
export class Script<Ready extends object> {
  readonly ready: Ready;
  readonly #child: ChildProcess;

  static async start<Ready extends object>(
    file: string,
    settings: object,
    news: (message: unknown) => void = () => {},
  ): Promise<Script<Ready>> {
    const child = start(NODE, [new URL(file, import.meta.url).pathname], ["ignore", "inherit", "inherit", "ipc"]);
    try {
      child.send(settings);
      const [ready] = await within(READY_MS, file, Promise.race([once(child, "message"), died(child, file)]));
      child.on("message", news);
      return new Script(child, ready as Ready);
    } catch (error) {
      await end(child);
      throw error;
    }
  }

  private constructor(child: ChildProcess, ready: Ready) {
    this.#child = child;
    this.ready = ready;
  }

  /** The second message, for a script that waits for one. */
  go(): void {
    this.#child.send({});
  }

  stop(): Promise<void> {
    return end(this.#child);
  }
}

async function died(child: ChildProcess, what: string): Promise<never> {
  const [code, signal] = await once(child, "exit");
  throw new Error(`${what} ended before it was ready: ${code ?? signal}`);
}

/** The built agent, alone in its process. */
export class AgentProcess {
  readonly pid: number;
  /** From the spawn to its line "ready". */
  readonly startMs: number;
  readonly #child: ChildProcess;

  /** `nodeOptions`: such as --cpu-prof. */
  static async start(bundle: string, config: string, nodeOptions: readonly string[] = []): Promise<AgentProcess> {
    const startedAt = performance.now();
    // By its own launcher, which becomes the agent: what is measured is what is shipped.
    const environment = { PRINTGATE_NODE: NODE, NODE_OPTIONS: nodeOptions.join(" ") };
    const child = start(`${bundle}/printgate`, ["run", "--config", config], ["ignore", "pipe", "inherit"], environment);
    try {
      const ready = new Promise<number>((resolve) => {
        if (child.stdout === null) return;
        createInterface({ input: child.stdout }).on("line", (line) => {
          const { msg, level, code } = JSON.parse(line) as { msg: string; level: number; code?: string };
          if (msg === "ready") resolve(performance.now());
          // Nothing should go wrong in a measurement; what does is seen. An early stop gives up what was asked at the start.
          else if (level >= 40 && code !== "link-given-up") process.stderr.write(`agent: ${line}\n`);
        });
      });
      const readyAt = await within(READY_MS, "the agent", Promise.race([ready, died(child, "the agent")]));
      if (child.pid === undefined) throw new Error("the agent has no process");
      return new AgentProcess(child, child.pid, readyAt - startedAt);
    } catch (error) {
      await end(child);
      throw error;
    }
  }

  private constructor(child: ChildProcess, pid: number, startMs: number) {
    this.#child = child;
    this.pid = pid;
    this.startMs = startMs;
  }

  stop(): Promise<void> {
    return end(this.#child);
  }
}
