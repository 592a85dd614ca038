import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { askStatus } from "../../agent/health/control-socket.ts";
import type { AgentStatus } from "../../agent/health/status.ts";
import type { TapTrace } from "../../agent/release/trace.ts";
import { until } from "./until.ts";

const MAIN = new URL("../../agent/main.ts", import.meta.url).pathname;

const READY_MS = 15_000;
const TAP_MS = 15_000;
const COMMAND_MS = 20_000;

export interface AgentOptions {
  readonly configPath: string;
  readonly controlSocket: string;
  /** Where the reader's line is listened for; absent where the reader is not a network one. */
  readonly readerPort?: number;
  /** Compiled code is kept here, so that the next start is quicker. */
  readonly compileCache?: string;
  /** A program and its arguments that runs the agent in its own place, such as `setpriv` or `unshare`. */
  readonly through?: readonly string[];
}

/** The agent as it is installed: a process of its own that reads a configuration file. */
export class AgentProcess {
  readonly #options: AgentOptions;
  readonly #child: ChildProcess;
  readonly #gone: Promise<unknown>;
  #stdout = "";
  #stderr = "";
  #line: Socket | undefined;

  /** Resolves when it says that it is ready; rejects, with what it said, if it ends instead. */
  static async start(options: AgentOptions): Promise<AgentProcess> {
    const agent = new AgentProcess(options);
    const { stdout } = agent.#child;
    if (stdout === null) throw new Error("no stdout");
    const ready = new Promise<boolean>((resolve) => {
      const lines = createInterface({ input: stdout });
      lines.on("line", (line) => {
        if (line.includes('"msg":"ready"')) resolve(true);
      });
      lines.once("close", () => resolve(false));
    });
    const timer = setTimeout(() => agent.#child.kill("SIGKILL"), READY_MS);
    const isReady = await ready;
    clearTimeout(timer);
    if (isReady) return agent;
    await agent.#gone;
    throw new Error(`the agent did not start: ${agent.#stderr}${agent.#stdout}`);
  }

  private constructor(options: AgentOptions) {
    this.#options = options;
    const [program = "", ...args] = [...(options.through ?? []), process.execPath, MAIN];
    this.#child = spawn(program, [...args, "run", "--config", options.configPath], {
      stdio: ["ignore", "pipe", "pipe"],
      env: environment(options.compileCache),
    });
    this.#gone = once(this.#child, "close");
    this.#child.stdout?.on("data", (bytes: Buffer) => {
      this.#stdout += bytes;
    });
    this.#child.stderr?.on("data", (bytes: Buffer) => {
      this.#stderr += bytes;
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** All that it wrote. */
  get stdout(): string {
    return this.#stdout;
  }
  get stderr(): string {
    return this.#stderr;
  }

  /** A path as the agent sees it, who may have mounts of its own. */
  seen(path: string): string {
    return `/proc/${this.pid}/root${path}`;
  }

  async status(): Promise<AgentStatus> {
    return (await askStatus(this.seen(this.#options.controlSocket))) as AgentStatus;
  }

  /** A network reader sends a line, on the one connection that it keeps. */
  async send(line: string): Promise<void> {
    const port = this.#options.readerPort ?? 0;
    this.#line ??= await until("the reader's port is open", () => dial(port), TAP_MS);
    this.#line.write(`${line}\r\n`);
  }

  /** A tap, to its end: the trace, when all its jobs have ended and the central server knows. */
  async tap(card: string): Promise<TapTrace> {
    return this.next(() => this.send(card));
  }

  /** The next tap that comes from what `cause` does, to its end. */
  async next(cause: () => Promise<void>): Promise<TapTrace> {
    const before = new Set((await this.status()).taps.map(({ tapId }) => tapId));
    await cause();
    return until(
      "the tap has ended",
      async () => {
        const status = await this.status();
        const trace = status.taps.find(({ tapId }) => !before.has(tapId));
        return trace !== undefined && hasEnded(trace) && isAtRest(status) ? trace : undefined;
      },
      TAP_MS,
    );
  }

  /** Resolves when nothing is under way and the central server has heard of everything. */
  async atRest(): Promise<AgentStatus> {
    return until(
      "the agent is at rest",
      async () => {
        const status = await this.status();
        return isAtRest(status) ? status : undefined;
      },
      TAP_MS,
    );
  }

  /** As by `kill -9`; resolves when it is gone. */
  async kill(): Promise<void> {
    this.#line?.destroy();
    if (this.running) this.#child.kill("SIGKILL");
    await this.#gone;
  }

  /** As by systemd. */
  async stop(): Promise<{ code: number | null; signal: string | null; ms: number }> {
    const started = performance.now();
    this.#child.kill("SIGTERM");
    await this.#gone;
    this.#line?.destroy();
    return { code: this.#child.exitCode, signal: this.#child.signalCode, ms: performance.now() - started };
  }
}

function environment(compileCache: string | undefined): NodeJS.ProcessEnv {
  return { ...process.env, ...(compileCache === undefined ? {} : { NODE_COMPILE_CACHE: compileCache }) };
}

function hasEnded({ jobs, signal }: TapTrace): boolean {
  return jobs.length > 0 ? jobs.every(({ word }) => word !== undefined) : signal !== undefined && signal !== "accepted";
}

function isAtRest({ ledger, printers }: AgentStatus): boolean {
  return ledger.open + ledger.unreported === 0 && printers.every(({ depth }) => depth === 0);
}

async function dial(port: number): Promise<Socket | undefined> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  const connected = await new Promise<boolean>((resolve) => {
    socket.once("connect", () => resolve(true));
    socket.once("error", () => resolve(false));
  });
  socket.on("error", () => {}); // the agent may be killed at any time
  return connected ? socket : undefined;
}

export interface Answer {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** One call of the command line. */
export function printgate(
  args: readonly string[],
  through: readonly string[] = [],
  compileCache?: string,
): Promise<Answer> {
  const [program = "", ...rest] = [...through, process.execPath, MAIN, ...args];
  return new Promise((resolve, reject) => {
    const options = { timeout: COMMAND_MS, killSignal: "SIGKILL", env: environment(compileCache) } as const;
    execFile(program, rest, options, (error, stdout, stderr) => {
      const code = error === null ? 0 : error.code;
      if (typeof code === "number") resolve({ code, stdout, stderr });
      else reject(error);
    });
  });
}

/** A TCP port of the loopback interface that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}
