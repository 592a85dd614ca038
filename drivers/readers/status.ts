import type { ReaderError, ReaderStatus } from "../reader.ts";

/** What a reader is with this error: away, and back by itself when it can be, or in need of somebody. */
export function statusOf(error: ReaderError): ReaderStatus {
  switch (error.code) {
    case "reader-absent":
    case "reader-lost":
    case "reader-unreachable":
    case "reader-silent-peer":
    case "reader-deaf":
    case "reader-kernel-driver":
    case "pcsc-service-missing":
      return "absent";
    case "reader-secure-channel-failed":
    case "reader-keyset-failed":
    case "reader-open-failed":
    case "reader-listen-failed":
    case "reader-source-refused":
    case "reader-not-a-keyboard":
    case "reader-not-inhibited":
    case "reader-ambiguous":
    case "reader-setup-failed":
    case "pcsc-library-missing":
      return "failed";
  }
}
