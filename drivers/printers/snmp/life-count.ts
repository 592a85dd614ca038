import type { Clock } from "../../clock.ts";
import type { LifeCount } from "../../printer-counts.ts";
import type { SnmpConnection } from "./connection.ts";
import { lifeCountOf, TABLES } from "./facts.ts";
import { Budget, type Row, walkTable } from "./walk.ts";

/** A printer has one marker, a few have four; each costs a request, and the end of the table one more. */
const MAX_REQUESTS = 20;
const MAX_OCTETS = 1024;
const MAX_MS = 3000;

/** Reads prtMarkerLifeCount, with its unit, now. Never rejects: a count that cannot be had is undefined. */
export async function readLifeCount(
  connection: SnmpConnection,
  device: string,
  clock: Clock,
): Promise<LifeCount | undefined> {
  const until = clock.monotonic() + MAX_MS;
  const budget = new Budget(MAX_REQUESTS, MAX_OCTETS, () => clock.monotonic() > until);
  try {
    const rows = await walkTable(connection, TABLES.markers, device, budget);
    return budget.truncated ? undefined : oneCount(rows);
  } catch {
    return undefined; // the polls tell what is wrong with the agent
  }
}

/**
 * Pure. Markers that count differently (one for each colour, or one for each engine of a pair) say nothing of pages:
 * neither their sum nor any one of them is what came out.
 */
export function oneCount(rows: readonly Row[]): LifeCount | undefined {
  const [first, ...others] = rows.flatMap((row) => lifeCountOf(row) ?? []);
  const same = others.every(({ value, unit }) => value === first?.value && unit === first.unit);
  return same ? first : undefined;
}
