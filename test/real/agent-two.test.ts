import { afterAll, beforeAll, expect, test } from "vitest";
import { VirtualMfd } from "../../agent/demo/mfd.ts";
import { systemClock } from "../../drivers/clock.ts";
import type { AgentProcess } from "./agent-process.ts";
import { CARD, pdf, Site } from "./site.ts";
import { until } from "./until.ts";

const ROUNDS = 50;
/** Most rounds have one job, some more; whoever is a moment earlier gets all that wait. */
const jobsIn = (round: number): number => 1 + (round % 5 === 0 ? 2 : 0);

let site: Site;
const mfds: VirtualMfd[] = [];
const agents: AgentProcess[] = [];

beforeAll(async () => {
  site = await Site.start();
  for (const name of ["lobby", "attic"]) {
    const mfd = await VirtualMfd.start({ clock: systemClock, printMs: 0 });
    mfds.push(mfd);
    agents.push(await (await site.install({ name, printer: `uri = "${mfd.uri}"` })).start());
  }
});
afterAll(async () => {
  await site.stop();
  await Promise.all(mfds.map((mfd) => mfd.stop()));
});

test(`one person who taps at two agents at one instant gets each job once, in ${ROUNDS} rounds`, async () => {
  const printed = () => mfds.flatMap(({ prints }) => prints.map(({ sha256 }) => sha256));
  // Both have compared their claims and stand ready.
  for (const agent of agents) expect(await agent.tap(CARD)).toMatchObject({ signal: "no-jobs" });
  const submitted: string[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    for (let job = 0; job < jobsIn(round); job++) {
      const { sha256 } = await site.submit(pdf(`round ${round} job ${job}`, 5000));
      submitted.push(sha256);
    }
    await Promise.all(agents.map((agent) => agent.send(CARD)));
    await until("all jobs of the round are printed", () => printed().length >= submitted.length);
  }
  for (const agent of agents) await agent.atRest();
  expect(printed().sort()).toEqual(submitted.sort());
  const counters = await Promise.all(agents.map(async (agent) => (await agent.status()).counters));
  for (const { accepted } of counters) expect(accepted).toBe(ROUNDS + 1);
  expect(new Set((await site.administration.jobs()).map(({ state }) => state))).toEqual(new Set(["printed"]));
}, 60_000);
