import type { Administration } from "../central/administration.ts";
import type { AgentEntry } from "../central/agent-store.ts";
import { CentralError } from "../central/central-error.ts";
import { sameFingerprint } from "../protocol/claim.ts";
import { CommandError, type Invocation, textOption } from "./command.ts";
import { question } from "./reader-device.ts";

/** The actions of `printgate central agent`. */

type Words = readonly string[];

/** `name` is the agent's; the code is what its screen shows, or, in a script, what `enrol --json` printed. */
export async function approveAgent(admin: Administration, invocation: Invocation, [code = ""]: Words) {
  const { terminal, options } = invocation;
  const name = textOption(invocation, "name");
  if (name === undefined) throw new CommandError("usage", "--name is needed: the agent's name");
  const expected = textOption(invocation, "fingerprint");
  const enrolment = await admin.enrolmentOf(code);
  const { fingerprint, request } = enrolment;
  terminal.line(`request      from ${request.address} at ${new Date(request.requestedAt).toISOString()}`);
  terminal.line(`fingerprint  ${fingerprint}`);
  if (expected === undefined) {
    const answer = await question(
      invocation,
      `Does the agent show this fingerprint? Approve it as ${name}? (yes/no)`,
      "--fingerprint FINGERPRINT",
    );
    if (answer.toLowerCase() !== "yes") throw new CentralError("fingerprint-different", `it is ${fingerprint}`);
  } else if (!sameFingerprint(expected, fingerprint)) {
    throw new CentralError("fingerprint-different", `it is ${fingerprint}`);
  }
  await admin.approve(enrolment, { name, replace: options.replace === true });
  terminal.line(`agent ${name} approved; it fetches its certificate within seconds`);
  return { agent: name, fingerprint };
}

export async function listRequests(admin: Administration, { terminal }: Invocation) {
  const requests = (await admin.enrolments()).map(({ id, address, requestedAt }) => {
    return { request: id.slice(0, 16), address, at: new Date(requestedAt).toISOString() };
  });
  for (const { request, address, at } of requests) terminal.line(`${request}  from ${address} at ${at}`);
  if (requests.length === 0) terminal.line("Nobody asks to be enrolled.");
  return { requests };
}

export async function listAgents(admin: Administration, { terminal }: Invocation) {
  const agents = (await admin.agents()).map((agent) => ({
    ...agent,
    state: stateOf(agent),
    addedAt: iso(agent.addedAt),
    certificateUntil: isoOrNull(agent.certificateUntil),
    clonedAt: isoOrNull(agent.clonedAt),
  }));
  for (const { name, state, certificateUntil } of agents) {
    const until = certificateUntil === null ? "" : `, certificate until ${certificateUntil.slice(0, 10)}`;
    terminal.line(`${name}  ${state}${until}`);
    if (state === "cloned") terminal.line(`  ! ${CLONED}`);
  }
  if (agents.length === 0) terminal.line("There are no agents.");
  return { agents };
}

export async function revokeAgent(admin: Administration, { terminal }: Invocation, [name = ""]: Words) {
  await admin.revokeAgent(name);
  terminal.line(`agent ${name} revoked; its connections are closed`);
  return { agent: name, enabled: false };
}

const CLONED =
  "two devices used this agent's key, so its SD card was copied; both are refused. Enrol the right one again and approve it with --replace.";

function stateOf({
  enabled,
  clonedAt,
  certificateUntil,
}: AgentEntry): "enrolled" | "revoked" | "cloned" | "not enrolled" {
  if (!enabled) return "revoked";
  if (clonedAt !== null) return "cloned";
  return certificateUntil === null ? "not enrolled" : "enrolled";
}

const iso = (time: number): string => new Date(time).toISOString();
const isoOrNull = (time: number | null): string | null => (time === null ? null : iso(time));
