import { systemClock } from "../../drivers/clock.ts";
import type { Administration } from "../central/administration.ts";
import { bootId } from "../link/boot.ts";
import { Enrolling } from "../link/enrolment/enrolling.ts";
import { type Identity, IdentityFolder } from "../link/enrolment/identity.ts";
import { sameFingerprint } from "../protocol/claim.ts";

export interface Enrolled {
  readonly url: string;
  readonly stateDir: string;
  readonly name: string;
  readonly replace?: boolean;
  readonly boot?: string;
  /** Hears the fingerprint that both sides showed. */
  readonly compared?: ((fingerprint: string) => void) | undefined;
}

/** `printgate enrol` and `printgate central agent approve`, with somebody at both who compares and does not hesitate. */
export async function enrol(administration: Administration, agent: Enrolled): Promise<Identity> {
  const { url, stateDir, replace = false } = agent;
  const enrolling = new Enrolling({
    folder: new IdentityFolder(stateDir),
    ...{ url, again: replace, boot: agent.boot ?? (await bootId()), clock: systemClock },
    signal: AbortSignal.timeout(60_000),
    async shown({ code, fingerprint }) {
      const enrolment = await administration.enrolmentOf(code);
      if (!sameFingerprint(enrolment.fingerprint, fingerprint)) throw new Error("the fingerprints differ");
      agent.compared?.(fingerprint);
      await administration.approve(enrolment, agent);
    },
    trouble() {},
  });
  return enrolling.run();
}
