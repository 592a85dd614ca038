import type { PolicySettings } from "../protocol/policy.ts";

export interface Difference {
  /** `printer.block_on` */
  readonly key: string;
  /** In JSON; undefined where the key is not set. */
  readonly before: string | undefined;
  readonly after: string | undefined;
}

/** Pure: every setting by its name, the value in JSON. */
export function settingLines(settings: PolicySettings): ReadonlyMap<string, string> {
  return new Map(
    Object.entries(settings).flatMap(([table, keys]) =>
      Object.entries(keys).map(([key, value]) => [`${table}.${key}`, JSON.stringify(value)] as const),
    ),
  );
}

/** Pure: what is different, in the order of the keys. */
export function differences(before: PolicySettings, after: PolicySettings): readonly Difference[] {
  const [old, fresh] = [settingLines(before), settingLines(after)];
  return [...new Set([...old.keys(), ...fresh.keys()])]
    .map((key) => ({ key, before: old.get(key), after: fresh.get(key) }))
    .filter((one) => one.before !== one.after);
}

/** Pure: `key: before -> after`, for people. */
export function differenceLine({ key, before, after }: Difference): string {
  return `${key}: ${before ?? "not set"} -> ${after ?? "not set"}`;
}
