export type Counters<Name extends string> = Record<Name, number>;

export function zeroed<const Name extends string>(...names: readonly Name[]): Counters<Name> {
  return Object.fromEntries(names.map((name) => [name, 0])) as Counters<Name>;
}

/** Adds `by`; a counter stops at 2^53-1 rather than lose precision. */
export function count<Name extends string>(counters: Counters<Name>, name: Name, by = 1): void {
  counters[name] = Math.min(counters[name] + by, Number.MAX_SAFE_INTEGER);
}
