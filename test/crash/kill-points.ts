import type { MfdFault, Talk } from "../../agent/demo/mfd-faults.ts";
import type { Phase } from "../../agent/release/machine.ts";
import { OPERATION, STATUS } from "../../drivers/printers/ipp/tags.ts";
import type { Flow, Gate } from "../real/gate.ts";

/** What a point may do to stop the agent where it wants it. */
export interface Scene {
  readonly central: Gate;
  readonly printer: Gate;
  inject(fault: MfdFault): void;
  /** By the ledger file. */
  phase(): Phase | undefined;
  recorded(phase: Phase): Promise<unknown>;
  reported(): Promise<void>;
  /** The printer gets no further with the next such request, until `letGo`; `then` may let it go on all the same. */
  holdRequest(
    talk: Talk,
    when: "here" | "performed",
    then?: () => "go on" | undefined,
    isIt?: () => boolean,
  ): Promise<void>;
  letGo(): void;
}

export interface KillPoint {
  /** The last record in the ledger file; `UNHEARD`: the central server has claimed, and the agent never heard. */
  readonly state: Phase | "UNHEARD";
  readonly what: string;
  readonly size: number;
  /** Resolves when the agent stands there. Called before the tap. */
  readonly stand: (scene: Scene) => Promise<unknown>;
  /** The ledger file is cut back to `state`: what a kill just before the next record, which never came alone, leaves behind. */
  readonly tornToState?: boolean;
}

const SMALL = 20_000;
/** Long enough on its way to be stopped in the middle. */
const LARGE = 2 ** 20;

/** Version, operation-id and the first half of the request-id (RFC 8010 3.1.1). */
const asks =
  (operation: number) =>
  ({ last }: Flow): boolean =>
    last.includes(Buffer.from([2, 0, 0, operation, 0, 0]));
const answers =
  (operation: number) =>
  (_: Flow, question: Flow): boolean =>
    asks(operation)(question);

/** Nothing of what the agent says to the central server from now on gets there. */
async function unreported(scene: Scene, phase: Phase, before: () => Promise<unknown>): Promise<void> {
  await before();
  await Promise.all([scene.central.hold("toServer"), scene.recorded(phase)]);
}

const inPrinting = ({ holdRequest, phase }: Scene, then: () => void = () => {}): Promise<void> =>
  holdRequest(
    "look-up",
    "here",
    () => {
      then();
      return "go on";
    },
    () => phase() === "PRINTING",
  );

export const POINTS = {
  unheard: {
    state: "UNHEARD",
    what: "claimed, and the answer on its way",
    size: SMALL,
    stand: ({ central }) => central.hold("toClient", ({ total }) => total > 0),
  },
  "claimed-first": {
    state: "CLAIMED",
    what: "the document's first octets on their way",
    size: SMALL,
    stand: ({ central, recorded }) =>
      Promise.all([central.hold("toClient", ({ last }) => last.length > 3500), recorded("CLAIMED")]),
  },
  "claimed-middle": {
    state: "CLAIMED",
    what: "in the middle of the download",
    size: LARGE,
    stand: ({ central, recorded }) =>
      Promise.all([central.hold("toClient", ({ total }) => total > LARGE / 2), recorded("CLAIMED")]),
  },
  "fetched-asked": {
    state: "FETCHED",
    what: "Create-Job asked, not heard",
    size: SMALL,
    stand: ({ printer, recorded }) =>
      Promise.all([printer.hold("toServer", asks(OPERATION.createJob)), recorded("FETCHED")]),
  },
  "fetched-answered": {
    state: "FETCHED",
    what: "the answer to Create-Job on its way",
    size: SMALL,
    stand: ({ printer, recorded }) =>
      Promise.all([printer.hold("toClient", answers(OPERATION.createJob)), recorded("FETCHED")]),
  },
  created: {
    state: "CREATED",
    what: "the printer's job made, SENDING not on the disk",
    size: SMALL,
    tornToState: true,
    stand: ({ printer }) => printer.hold("toServer", asks(OPERATION.sendDocument)),
  },
  "sending-nothing": {
    state: "SENDING",
    what: "the document not heard by the printer",
    size: SMALL,
    stand: ({ printer }) => printer.hold("toServer", asks(OPERATION.sendDocument)),
  },
  "sending-middle": {
    state: "SENDING",
    what: "in the middle of the document",
    size: LARGE,
    stand: ({ printer }) => printer.hold("toServer", ({ total }) => total > LARGE / 2),
  },
  "sending-in-flight": {
    state: "SENDING",
    what: "the whole document sent, and read by the printer after the kill",
    size: SMALL,
    stand: ({ holdRequest }) => holdRequest("document", "here"),
  },
  "sending-whole": {
    state: "SENDING",
    what: "the printer's answer to the document on its way",
    size: LARGE,
    stand: ({ printer }) => printer.hold("toClient", (_, { total }) => total > LARGE),
  },
  "sent-asking": {
    state: "SENT",
    what: "in a look-up",
    size: SMALL,
    stand: ({ holdRequest, phase }) => holdRequest("look-up", "here", undefined, () => phase() === "SENT"),
  },
  "sent-between": {
    state: "SENT",
    what: "between two look-ups",
    size: SMALL,
    stand: ({ recorded }) => recorded("SENT"),
  },
  "printing-asking": {
    state: "PRINTING",
    what: "in a look-up",
    size: SMALL,
    stand: ({ holdRequest, phase }) => holdRequest("look-up", "performed", undefined, () => phase() === "PRINTING"),
  },
  "printing-between": {
    state: "PRINTING",
    what: "between two look-ups",
    size: SMALL,
    stand: ({ recorded }) => recorded("PRINTING"),
  },
  "done-unreported": {
    state: "DONE",
    what: "the report not heard",
    size: SMALL,
    stand: (scene) => unreported(scene, "DONE", () => scene.recorded("PRINTING")),
  },
  "done-answer-lost": {
    state: "DONE",
    what: "the report heard, its answer on its way",
    size: SMALL,
    stand: async ({ central, recorded, reported }) => {
      await recorded("PRINTING");
      await Promise.all([central.hold("toClient"), recorded("DONE"), reported()]);
    },
  },
  "canceled-unreported": {
    state: "CANCELED",
    what: "the report not heard",
    size: SMALL,
    stand: (scene) => {
      scene.inject({ does: "cancel-at-panel", afterPages: 3 });
      return unreported(scene, "CANCELED", () => scene.recorded("PRINTING"));
    },
  },
  "aborted-unreported": {
    state: "ABORTED",
    what: "the report not heard",
    size: SMALL,
    stand: (scene) => {
      scene.inject({ does: "abort", afterPages: 3 });
      return unreported(scene, "ABORTED", () => scene.recorded("PRINTING"));
    },
  },
  "returned-unreported": {
    state: "RETURNED",
    what: "the report not heard",
    size: SMALL,
    stand: async (scene) => {
      scene.inject({ does: "status", code: STATUS.documentFormatNotSupported, meets: ["create"], times: 1 });
      await unreported(scene, "RETURNED", () => scene.holdRequest("create", "here", () => "go on"));
    },
  },
  "in-doubt-unreported": {
    state: "IN_DOUBT",
    what: "the report not heard",
    size: SMALL,
    stand: (scene) => unreported(scene, "IN_DOUBT", () => inPrinting(scene, () => scene.inject({ does: "reboot" }))),
  },
} as const satisfies Readonly<Record<string, KillPoint>>;

export type KillPointName = keyof typeof POINTS;
export const POINT_NAMES = Object.keys(POINTS) as readonly KillPointName[];

/** What happens at the printer while the agent is dead. */
export const FATES = {
  "goes-on": { what: "nothing", faults: [] },
  reboots: { what: "it is switched off and on", faults: [{ does: "reboot", strangers: 40 }] },
  canceled: { what: "the job is canceled at the panel", faults: [{ does: "cancel-at-panel", afterPages: 0 }] },
  aborts: { what: "it gives the job up after two pages", faults: [{ does: "abort", afterPages: 2 }] },
  jams: {
    what: "it jams at page 3, cleared after 1 s",
    faults: [{ does: "jam", afterPages: 2, clearedAfterMs: 1000 }],
  },
  away: { what: "it is off the network for 1 s", faults: [{ does: "refuse-connections", forMs: 1000 }] },
} as const satisfies Readonly<Record<string, { what: string; faults: readonly MfdFault[] }>>;

export type Fate = keyof typeof FATES;
export const FATE_NAMES = Object.keys(FATES) as readonly Fate[];

export interface KillPlan {
  readonly point: KillPointName;
  readonly fate: Fate;
}
