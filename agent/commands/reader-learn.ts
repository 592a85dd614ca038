import type { Read } from "../../drivers/reader.ts";
import { CardError } from "../cards/card-error.ts";
import { type Learned, learn, type Pair } from "../cards/learn/learn.ts";
import type { Invocation } from "./command.ts";
import { isSameRead } from "./reader-shape.ts";

/** Fewer can fit by chance. */
const ENOUGH = 3;
const MOST = 8;

/**
 * Which pipeline makes the server's numbers of what this reader sends: asks for the number of the card that was tapped and
 * for more cards with theirs, until one pipeline is left. Undefined where the operator does not know or nothing fits.
 */
export async function learnedPipeline(
  { terminal, signal }: Invocation,
  first: Read,
  nextCard: (prompt: string) => Promise<Read | undefined>,
): Promise<string | undefined> {
  const pairs: Pair[] = [];
  let read: Read | undefined = first;
  let pipeline: string | undefined;
  while (read !== undefined && pairs.length < MOST) {
    const question = "Which number has this card at the central server? (Enter: I do not know)";
    const number = (await terminal.ask?.(question, signal))?.trim() ?? "";
    if (number === "") break;
    pairs.push({ read, number });
    const learned = pairs.length < 2 ? undefined : learnt(pairs);
    pipeline = learned?.verdict === "found" ? learned.pipelines[0] : undefined;
    if (pipeline !== undefined && pairs.length >= ENOUGH) {
      terminal.note(`One pipeline makes these ${pairs.length} numbers: ${pipeline}`);
      return pipeline;
    }
    if (learned?.verdict === "nothing") {
      terminal.note(
        "No pipeline makes these numbers of these cards; `printgate card learn` tells more. None is written.",
      );
      return undefined;
    }
    const hint = learned?.decider === undefined ? "" : ` Best ${learned.decider.card}.`;
    read = await nextCard(`Tap another card whose number you know.${hint}`);
    // A card that still lies there is read again by each opening of the reader.
    for (let i = 0; i < MOST && pairs.some((pair) => isSameRead(pair.read, read)); i += 1) {
      read = await nextCard("That was a card again that was tapped before. Tap another card.");
    }
  }
  if (pipeline !== undefined)
    terminal.note(`Two cards can fit by chance. Not written: pipeline = ${JSON.stringify(pipeline)}`);
  return undefined;
}

/** Two taps of one card teach nothing, and are no reason to stop. */
function learnt(pairs: readonly Pair[]): Learned | undefined {
  try {
    return learn(pairs);
  } catch (error) {
    if (error instanceof CardError) return undefined;
    throw error;
  }
}
