import { type CodeTable, codedError } from "../../drivers/coded-error.ts";

export const RELEASE_CODES = {
  "document-altered": {
    what: "A document's bytes are not those that its signed manifest lists.",
    next: "Nothing was printed. Check the central server's disk and who can write to it; send the job again.",
  },
  "document-truncated": {
    what: "A document ended before its manifest says.",
    next: "Nothing was printed. Check the network to the central server; the job stays held.",
  },
  "manifest-not-ours": {
    what: "A claimed job's manifest names another agent or printer.",
    next: "Nothing was printed. Check that no two agents share one configuration.",
  },
  "claim-repeated": {
    what: "The central server handed out a claim that this agent has worked on already.",
    next: "It was not printed again. Check whether the central server's data was restored from an old copy.",
  },
  "release-deadline": {
    what: "The printer did not become ready, or did not say how the job ended, within the time allowed.",
    next: "Look at the printer's panel. A job that was not started stays held; one in doubt waits for a decision.",
  },
  "agent-restarted": {
    what: "The agent was restarted in the middle of a release.",
    next: "If the job is held again, tap again. If it is unknown, look whether the paper came out, then decide.",
  },
  "printer-not-configured": {
    what: "The job was being released to a printer that is no longer configured.",
    next: "Look whether the paper came out, then decide.",
  },
  "agent-stopping": {
    what: "The agent was stopped before the job was sent.",
    next: "The job stays held; tap again when the agent runs.",
  },
  "ledger-damaged": {
    what: "Records of the ledger were lost, so that it cannot prove whether the job was sent.",
    next: "Look whether the paper came out, then decide. Check the SD card: it loses data.",
  },
  "claim-not-in-ledger": {
    what: "The central server holds a claim that this agent's ledger does not know.",
    next: "If the state folder was replaced or the power was cut, nothing else is to do.",
  },
  "job-gone-at-printer": {
    what: "The printer took the whole document and then no longer knew the job.",
    next: "Look whether the paper came out, then decide. The printer may have been switched off, or keeps no job history.",
  },
  "completed-without-pages": {
    what: "The printer calls the job completed, and counts no page of it, though it counts those of other jobs.",
    next: "Look whether the paper came out, then decide. Look at the printer's job log: it may not have been able to read the document.",
  },
  "canceled-at-printer": {
    what: "A person canceled the job at the printer's panel.",
    next: "Nothing: the job has ended. It can be sent again from the computer.",
  },
  "aborted-by-printer": {
    what: "The printer gave the job up.",
    next: "Look at the printer's panel or job log; the document may be damaged or of a kind that it cannot print.",
  },
  "tap-flood": {
    what: "More taps came in than can be served at once.",
    next: "Check the reader: it may be faulty, or somebody plays with it.",
  },
} as const satisfies CodeTable;

export class ReleaseError extends codedError(RELEASE_CODES) {}
