import type { Target } from "./engine.ts";

/** What `--target` chooses from; each list is loaded when it is asked for. */
export const TARGETS: Readonly<Record<string, () => Promise<readonly Target[]>>> = {
  cards: async () => (await import("./cards.ts")).CARD_TARGETS,
  link: async () => (await import("./events.ts")).EVENT_TARGETS,
  ipp: async () => (await import("./ipp.ts")).IPP_TARGETS,
  readers: async () => [
    ...(await import("./readers.ts")).READER_TARGETS,
    ...(await import("./osdp.ts")).OSDP_TARGETS,
    ...(await import("./polled.ts")).POLLED_TARGETS,
    ...(await import("./messages.ts")).MESSAGING_TARGETS,
  ],
  snmp: async () => [
    ...(await import("./snmp.ts")).SNMP_TARGETS,
    ...(await import("./snmp-agent.ts")).SNMP_SESSION_TARGETS,
  ],
};
