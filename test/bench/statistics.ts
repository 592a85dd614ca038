/** The smallest value that `share` (0 to 1) of the values do not exceed (nearest rank). */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const value = sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
  if (value === undefined) throw new RangeError("no values");
  return value;
}

export const median = (values: readonly number[]): number => percentile(values, 0.5);

export interface Spread {
  readonly p50: number;
  readonly p99: number;
}

export function spread(values: readonly number[]): Spread {
  return { p50: round(median(values)), p99: round(percentile(values, 0.99)) };
}

/** To three digits behind the point: more would be noise. */
export function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
