import { codeOf } from "../../drivers/coded-error.ts";
import type { Administration } from "../central/administration.ts";
import { differenceLine, differences, settingLines } from "../policy/diff.ts";
import { DEFAULT_SETTINGS, type PolicySettings } from "../protocol/policy.ts";
import { CommandError, EXIT, type Invocation, textOption, textOptions } from "./command.ts";

/** `central policy publish FILE` */
export async function publishPolicy(admin: Administration, { terminal }: Invocation, [file = ""]: readonly string[]) {
  const { readPolicyFile } = await import("../central/policy-file.ts");
  const settings = await readPolicyFile(file);
  const before = await admin.policy().catch((error: unknown) => {
    // Publishing anew is what mends it.
    if (codeOf(error) === "policy-unusable") return undefined;
    throw error;
  });
  const { policy } = await admin.publishPolicy(settings);
  const changes = differences(before?.policy.settings ?? DEFAULT_SETTINGS, settings);
  terminal.line(`policy ${policy.root}.${policy.version} published, good until ${policy.expiresAt}`);
  for (const change of changes) terminal.line(`  ${differenceLine(change)}`);
  if (changes.length === 0) terminal.line("  no setting changed");
  if (changes.some(({ key }) => key.startsWith("link."))) {
    terminal.note(
      "Agents try the new key pins beside their old ones until a connection by a new one has worked. " +
        "`printgate policy show` at an agent tells how far it is.",
    );
  }
  return { policy: `${policy.root}.${policy.version}`, expiresAt: policy.expiresAt, changes };
}

/** `central policy show` */
export async function showPolicy(admin: Administration, { terminal }: Invocation) {
  const { policy, hash } = await admin.policy();
  const { root, version, issuedAt, expiresAt, settings } = policy;
  terminal.line(`policy ${root}.${version}, signed ${issuedAt}, good until ${expiresAt}`);
  for (const line of shownSettings(settings)) terminal.line(`  ${line}`);
  return { policy: `${root}.${version}`, hash, issuedAt, expiresAt, settings };
}

/** `central policy rotate --root DIR ... [--new-root-keys DIR]` */
export async function rotateRoot(admin: Administration, invocation: Invocation) {
  const folders = textOptions(invocation, "root");
  if (folders.length === 0) throw new CommandError("usage", "--root is needed: where the root keys are");
  const fresh = textOption(invocation, "new-root-keys");
  const { version } = await admin.rotateRoot(folders, fresh);
  const { terminal } = invocation;
  terminal.line(`root ${version}: a new policy key${fresh === undefined ? "" : ` and new root keys, in ${fresh}`}`);
  terminal.note("Agents follow by themselves. Back up the `keys` folder again, and take the root keys away.");
  return { root: version, ...(fresh === undefined ? {} : { rootKeys: fresh }) };
}

/** `central policy example`: needs no site. */
export async function policyExample({ terminal }: Invocation): Promise<number> {
  const { policyExample: example } = await import("../central/policy-file.ts");
  terminal.line(example().trimEnd());
  terminal.result({ toml: example() });
  return EXIT.ok;
}

/** One line a setting. */
export function shownSettings(settings: PolicySettings): string[] {
  return [...settingLines(settings)].map(([key, value]) => `${key} = ${value}`);
}
