import { codeOf } from "../../drivers/coded-error.ts";
import { controlSocketPath, type ShownPolicy } from "../agent.ts";
import { askPolicy } from "../health/control-socket.ts";
import { IdentityFolder } from "../link/enrolment/identity.ts";
import { differenceLine, differences } from "../policy/diff.ts";
import { DEFAULT_SETTINGS } from "../protocol/policy.ts";
import { shownSettings } from "./central-policy.ts";
import { type Command, CommandError, EXIT } from "./command.ts";
import { configOf } from "./configured-agent.ts";
import { policyInWords } from "./status.ts";

export const command: Command = {
  summary: "what the central server allows, as the running agent obeys it",
  help: `
usage: printgate policy show [--diff [--from defaults|previous]] [--config FILE]

show    the policy in force: version, signed when, good until when, every setting; key pins that are on trial
--diff  only what differs from the policy before it, or where there was none, from the defaults
  --from defaults|previous  what to compare with

  --config FILE  the configuration of the agent to ask (default: $PRINTGATE_CONFIG, else /etc/printgate/printgate.toml)

Exit code 0 when a policy is in force and its time is not over, else 1.`,
  options: { config: { type: "string" }, diff: { type: "boolean" }, from: { type: "string" } },
  async run(invocation) {
    const { words, options, terminal } = invocation;
    if (words.length !== 1 || words[0] !== "show") throw new CommandError("usage", "say `policy show`");
    const { from } = options;
    if (from !== undefined && (options.diff !== true || (from !== "defaults" && from !== "previous")))
      throw new CommandError("usage", "--from takes defaults or previous, and goes with --diff");
    const config = await configOf(invocation);
    const { stateDir } = config.agent;
    const path = controlSocketPath(stateDir);
    const { granted } = await new IdentityFolder(stateDir).load();
    const shown = await asked(path, granted.policyRoot !== undefined);
    const { summary, settings, previous, trial, undone } = shown;
    terminal.line(`policy ${policyInWords(summary)}`);
    if (summary.error !== undefined) terminal.line(`  ! ${summary.error.what} ${summary.error.next}`);
    if (options.diff === true) {
      const before = from === "defaults" || previous === undefined ? undefined : previous;
      const changes = differences(before?.settings ?? DEFAULT_SETTINGS, settings);
      const than = before === undefined ? "the defaults" : `policy ${before.version}`;
      terminal.line(changes.length === 0 ? `the same as ${than}` : `other than ${than}:`);
      for (const change of changes) terminal.line(`  ${differenceLine(change)}`);
      terminal.result({ ...shown, diff: { from: before?.version ?? "defaults", changes } });
    } else {
      for (const line of shownSettings(settings)) terminal.line(`  ${line}`);
      terminal.result(shown);
    }
    if (trial !== undefined) terminal.line(`on trial: link.key_pins = ${JSON.stringify(trial)}`);
    if (undone !== undefined) terminal.line(`tried in vain: link.key_pins = ${JSON.stringify(undone)}`);
    return summary.state === "valid" || summary.state === "unknown" ? EXIT.ok : EXIT.failed;
  },
};

async function asked(path: string, takesPolicies: boolean): Promise<ShownPolicy> {
  if (!takesPolicies) throw new CommandError("policy-not-taken");
  let answer: unknown;
  try {
    answer = await askPolicy(path);
  } catch (cause) {
    throw new CommandError("agent-silent", cause instanceof Error ? cause.message : codeOf(cause), { cause });
  }
  if (answer === undefined) throw new CommandError("agent-not-running", path);
  return answer as ShownPolicy;
}
