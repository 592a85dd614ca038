import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { VirtualMfd } from "../../agent/demo/mfd.ts";
import { systemClock } from "../../drivers/clock.ts";
import { Authority } from "../sim/authority.ts";
import { Cupsd } from "./cupsd.ts";
import { startEvePrinter } from "./ippeveprinter.ts";
import type { PrinterLogin } from "./pam.ts";

/** What a printer cannot do, or does not say truly: what is honest there is another word. */
export interface Traits {
  /** It takes any format that it does not know as a stream of octets. */
  readonly takesAnyFormat?: true;
  /** It takes any stream of octets too, and refuses the document when it has looked into it. */
  readonly looksIntoDocuments?: true;
  /** It prints what it got of a document whose transfer was cut, and calls the job completed; always, or now and then. */
  readonly liesAboutCuts?: true;
  /** It tells how many pages came out, so that a cancelled job is known not to have printed. */
  readonly counts?: true;
}

/** A printer that the suite of releases runs against. */
export interface RealPrinter {
  readonly traits: Traits;
  readonly uri: string;
  readonly keyPins: readonly string[];
  readonly login?: PrinterLogin;
  /** The hash of each document that came out, in order. */
  printed(): Promise<readonly string[]>;
  /** Whatever prints, or begins to, stays in the printer until `go`. */
  hold(): Promise<void>;
  go(): Promise<void>;
  stop(): Promise<void>;
}

const LOGIN: PrinterLogin = { user: "printgate", password: "right word 7431" };
/** PostScript is none of them. */
const FORMATS = ["application/pdf", "image/jpeg"];

export const KINDS: Readonly<Record<string, () => Promise<RealPrinter>>> = {
  "the virtual MFD over http": () => startMfd(false),
  "the virtual MFD over https": () => startMfd(true),
  "ippeveprinter over http": () => startEve(false),
  "ippeveprinter over https": () => startEve(true),
  "ippeveprinter over https with a login that PAM judges": () => startEve(true, LOGIN),
  "a cupsd queue over http": () => startQueue(false),
  "a cupsd queue over https": () => startQueue(true),
  "a cupsd queue over https with a login that PAM judges": () => startQueue(true, LOGIN),
};

async function startMfd(secure: boolean): Promise<RealPrinter> {
  const tls = secure ? new Authority().issue() : undefined;
  const mfd = await VirtualMfd.start({ clock: systemClock, printMs: 5, formats: FORMATS, ...(tls && { tls }) });
  mfd.singleJob(true);
  return {
    traits: { counts: true },
    uri: mfd.uri,
    keyPins: tls === undefined ? [] : [tls.pin],
    printed: async () => mfd.prints.map(({ sha256 }) => sha256),
    hold: async () => mfd.slow(600_000),
    async go() {
      mfd.slow(5);
      mfd.jam(); // so that what prints begins anew
      mfd.clearJam();
    },
    stop: () => mfd.stop(),
  };
}

/** A folder in which a shell script prints: it waits while `hold` is there, then writes down the hash of its document. */
class Paper {
  readonly #folder: string;

  static async make(): Promise<Paper> {
    const folder = await mkdtemp(join(tmpdir(), "printgate-paper-"));
    await chmod(folder, 0o777); // a backend of cupsd runs as another user
    return new Paper(folder);
  }

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** `document`: how the script names its document. */
  script(document: string): string {
    return `while [ -e "${this.#folder}/hold" ]; do sleep 0.02; done\nsha256sum < "${document}" >> "${this.#folder}/out"`;
  }

  async printed(): Promise<readonly string[]> {
    const text = await readFile(join(this.#folder, "out"), "latin1").catch(() => "");
    return text.split("\n").flatMap((line) => (line.length >= 64 ? [line.slice(0, 64)] : []));
  }

  hold(): Promise<void> {
    return writeFile(join(this.#folder, "hold"), "");
  }

  go(): Promise<void> {
    return rm(join(this.#folder, "hold"), { force: true });
  }

  remove(): Promise<void> {
    return rm(this.#folder, { recursive: true });
  }
}

async function startEve(secure: boolean, login?: PrinterLogin): Promise<RealPrinter> {
  const paper = await Paper.make();
  const eve = await startEvePrinter({ formats: FORMATS, script: paper.script("$1"), ...(login && { login }) });
  return {
    traits: { liesAboutCuts: true, looksIntoDocuments: true },
    uri: secure ? eve.secureUri : eve.uri,
    keyPins: secure ? [eve.keyPin] : [],
    ...(login && { login }),
    printed: () => paper.printed(),
    hold: () => paper.hold(),
    go: () => paper.go(),
    async stop() {
      await eve.stop();
      await paper.remove();
    },
  };
}

/** As the filters of CUPS tell it what came out; without it every job of a queue has 0 impressions. */
const PAGES = 'echo "PAGE: 1 1" >&2';

async function startQueue(secure: boolean, login?: PrinterLogin): Promise<RealPrinter> {
  const paper = await Paper.make();
  const cupsd = await Cupsd.start({ secure, backend: `${paper.script("$6")}\n${PAGES}`, ...(login && { login }) });
  return {
    traits: { takesAnyFormat: true, counts: true, liesAboutCuts: true },
    uri: cupsd.uri,
    keyPins: cupsd.keyPin === undefined ? [] : [cupsd.keyPin],
    ...(login && { login }),
    printed: () => paper.printed(),
    hold: () => paper.hold(),
    go: () => paper.go(),
    async stop() {
      await paper.go();
      await cupsd.stop();
      await paper.remove();
    },
  };
}
