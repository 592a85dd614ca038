import type { Print, VirtualMfd } from "../../agent/demo/mfd.ts";
import type { Clock } from "../../drivers/clock.ts";
import { silentLog } from "../../drivers/log.ts";
import { IppPrinter } from "../../drivers/printers/ipp/printer.ts";
import { PERSON } from "../real/site.ts";
import { lookAtLedger } from "./ledger-file.ts";
import type { Paper, Told } from "./oracle.ts";

export interface Submitted {
  readonly id: string;
  readonly sha256: string;
  /** How much the printer had printed before. */
  readonly from: number;
}

/** Somebody else, who asks the printer over IPP and looks at its paper. */
export class Witness {
  readonly #mfd: VirtualMfd;
  readonly #ledgerPath: string;
  readonly #printer: IppPrinter;

  constructor(mfd: VirtualMfd, ledgerPath: string, clock: Clock) {
    this.#mfd = mfd;
    this.#ledgerPath = ledgerPath;
    this.#printer = new IppPrinter({ name: "witness", uri: mfd.uri, keyPins: [], clock, log: silentLog });
  }

  /** What the printer tells of the first job that it got of this document. */
  async ask({ id }: Submitted): Promise<Told> {
    const { entry } = lookAtLedger(this.#ledgerPath, id);
    if (entry === undefined) return { type: "gone" };
    try {
      const found = await this.#printer.findJob(`printgate-${entry.claimId}`, PERSON, new AbortController().signal);
      if (found === undefined) return { type: "gone" };
      const { state, impressions } = found;
      if (state !== "completed" && state !== "canceled" && state !== "aborted") return { type: "active" };
      return { type: "ended", state, ...(impressions === undefined ? {} : { impressions }) };
    } catch {
      return { type: "silent" };
    }
  }

  /** All that came out of this document so far. */
  paper({ id, sha256, from }: Submitted): Paper[] {
    const names = new Set(
      [0, 1].map((index) => `printgate-${lookAtLedger(this.#ledgerPath, id, index).entry?.claimId ?? ""}`),
    );
    const isOfIt = (print: Print) => names.has(print.name) || print.sha256 === sha256;
    return this.#mfd.prints
      .slice(from)
      .filter(isOfIt)
      .map(({ pages, ofPages, cut, sha256: hash }) => ({ pages, ofPages, whole: !cut && hash === sha256 }));
  }

  stop(): Promise<void> {
    return this.#printer.stop();
  }
}
