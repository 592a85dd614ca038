/**
 * The script behind snmpd's pass_persist: serves `{ oid: [type, value] }` from the JSON file that is its argument, read
 * anew for each request, so that a test changes the printer by rewriting the file.
 */
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

type Table = Readonly<Record<string, readonly [type: string, value: string]>>;

function compare(a: string, b: string): number {
  const [left, right] = [a, b].map((oid) => oid.split(".").map(Number));
  if (left === undefined || right === undefined) return 0;
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}

function answer(command: string, oid: string): string {
  const table: Table = JSON.parse(readFileSync(process.argv[2] ?? "", "utf8"));
  const wanted = oid.replace(/^\./, "");
  const found =
    command === "getnext"
      ? Object.keys(table)
          .sort(compare)
          .find((candidate) => compare(candidate, wanted) > 0)
      : wanted;
  const row = found === undefined ? undefined : table[found];
  return row === undefined ? "NONE" : `.${found}\n${row[0]}\n${row[1]}`;
}

let command: string | undefined;
for await (const line of createInterface({ input: process.stdin })) {
  if (command !== undefined) {
    process.stdout.write(`${answer(command, line)}\n`);
    command = undefined;
  } else if (line === "PING") process.stdout.write("PONG\n");
  else command = line;
}
