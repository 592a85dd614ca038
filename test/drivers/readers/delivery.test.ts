import { expect, test } from "vitest";
import type { Read } from "../../../drivers/reader.ts";
import { Delivery } from "../../../drivers/readers/delivery.ts";

const card = (text: string): Read => ({ kind: "text", text });

test("a card that was one too many is taken as soon as there may be another, however often it is tapped meanwhile", () => {
  const delivery = new Delivery({ repeatHoldMs: 1500, maxReadsPer10s: 2 });
  const taken: (readonly [string, number])[] = [];
  const listener = {
    read: (read: Read, at: number) => void taken.push([read.kind === "text" ? read.text : "", at]),
    keys() {},
    state() {},
  };
  delivery.pass(card("A"), 0, listener);
  delivery.pass(card("B"), 500, listener);
  for (let at = 1000; at <= 11_000; at += 1000) delivery.pass(card("C"), at, listener);
  expect(taken).toEqual([
    ["A", 0],
    ["B", 500],
    ["C", 10_000],
  ]);
});
