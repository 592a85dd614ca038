import { expect, it } from "vitest";
import { nearest } from "../../../agent/settings/nearest.ts";

const KEYS = ["name", "listen", "connect", "max_length", "min_length", "baud_rate"];

it.each([
  ["lisen", "listen"],
  ["litsen", "listen"],
  ["LISTEN", "listen"],
  ["max_lenght", "max_length"],
  ["baudrate", "baud_rate"],
  ["maxlength", "max_length"],
  ["nmae", "name"],
  ["colour", undefined],
  ["", undefined],
  ["x".repeat(100_000), undefined],
])("%s is meant to be %s", (word, wanted) => expect(nearest(word, KEYS)).toBe(wanted));
