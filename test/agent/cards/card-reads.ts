import { ofBytes } from "../../../agent/cards/bits.ts";
import { type CardCode, CardError } from "../../../agent/cards/card-error.ts";
import { parsePipeline, toCardNumber } from "../../../agent/cards/pipeline.ts";
import type { Read } from "../../../drivers/reader.ts";

export const text = (value: string): Read => ({ kind: "text", text: value });
export const hex = (value: string, bitLength = value.length * 4): Read => ({
  ...ofBytes(Uint8Array.fromHex(value)),
  bitLength,
});
export const convert = (pipeline: string, read: Read | string): string =>
  toCardNumber(parsePipeline(pipeline), typeof read === "string" ? text(read) : read);

export function failure(run: () => unknown): CardError {
  try {
    run();
  } catch (error) {
    if (error instanceof CardError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}
export const code = (run: () => unknown): CardCode => failure(run).code;
