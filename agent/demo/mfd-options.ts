import type { Clock } from "../../drivers/clock.ts";
import type { IppAttribute } from "../../drivers/printers/ipp/message.ts";

export interface MfdOptions {
  readonly clock: Clock;
  /** Where the documents are written, one file each; without it they are only counted. */
  readonly folder?: string;
  /** 127.0.0.1 by default. */
  readonly host?: string;
  /** A free one by default. */
  readonly port?: number;
  /** PEM; with it the printer speaks ipps only. */
  readonly tls?: { readonly key: string; readonly cert: string };
  /** `urn:uuid:…` */
  readonly uuid?: string;
  /** document-format-supported, the default first. */
  readonly formats?: readonly string[];
  /** Milliseconds that a job takes to print; 40 by default. */
  readonly printMs?: number;
  /** Milliseconds that a complete job waits before it prints; none by default. */
  readonly pendingMs?: number;
  /** Of each document; 1 by default. */
  readonly pages?: number;
  /** What it says of impressions: the pages that are out, by default; always 0; or nothing. */
  readonly counts?: "pages" | "zero" | "never";
  /** An old printer, that has Print-Job only. */
  readonly withoutCreateJob?: boolean;
  /** Prints and reports as completed what it got of a document whose transfer was cut, as some real printers do. */
  readonly lieCompleted?: boolean;
  /** What it can do with tickets: `-supported` and `-default` attributes; an office printer's by default. */
  readonly template?: readonly IppAttribute[];
  readonly onFirstByte?: (document: { jobId: number; name: string; at: number }) => void;
  readonly onPrinted?: (print: Print) => void;
  /** A request, by its operation-id, is here, or was performed and not answered yet. It goes on when this resolves. */
  readonly onRequest?: (operation: number, when: "here" | "performed") => Promise<void> | void;
}

/** One document on paper, or the first of its pages. */
export interface Print {
  readonly jobId: number;
  /** job-name. */
  readonly name: string;
  /** Hexadecimal, of the bytes that arrived. */
  readonly sha256: string;
  readonly size: number;
  /** The job attributes that it was printed by, and the job-password where there was one. */
  readonly ticket: readonly IppAttribute[];
  /** Monotonic ms at which the paper was out. */
  readonly at: number;
  /** Monotonic ms at which the first document byte arrived. */
  readonly firstByteAt: number | undefined;
  /** Only the beginning of the document arrived. */
  readonly cut: boolean;
  /** That came out, of `ofPages`. */
  readonly pages: number;
  readonly ofPages: number;
  readonly file: string | undefined;
}
