import { text } from "node:stream/consumers";
import type { Administration } from "../central/administration.ts";
import { CommandError, type Invocation, textOption } from "./command.ts";
import { readSecret } from "./secret-input.ts";

/** The actions of `printgate central user`. */

type Words = readonly string[];

export async function addUser(admin: Administration, invocation: Invocation, [name = ""]: Words) {
  const id = textOption(invocation, "id");
  await admin.addUser(name, textOption(invocation, "display-name"));
  if (id !== undefined) await admin.setId(name, await wordOrInput(id));
  invocation.terminal.line(`user ${name} added`);
  return { user: name };
}

export async function setPin(admin: Administration, invocation: Invocation, [name = ""]: Words) {
  const { terminal, options } = invocation;
  if (options.required === true && options.optional === true) {
    throw new CommandError("usage", "only one of --required and --optional");
  }
  const asked = options.required === true ? true : options.optional === true ? false : undefined;
  const needed = (required: boolean) => (required ? "a card alone is not enough" : "a card alone is enough");
  if (options.generate === true) {
    const { pin, required } = await admin.setPin(name, asked);
    // With --json it is in the result alone.
    if (!terminal.json) terminal.line(pin);
    terminal.note(`This is the PIN of user ${name}; ${needed(required)}. It cannot be shown again.`);
    return { user: name, required, pin };
  }
  const { required } = await admin.setPin(name, asked, await readSecret(`PIN of user ${name}`));
  terminal.line(`PIN of user ${name} set; ${needed(required)}`);
  return { user: name, required };
}

export async function clearPin(admin: Administration, { terminal }: Invocation, [name = ""]: Words) {
  await admin.clearPin(name);
  terminal.line(`user ${name} has no PIN any more: a card alone is enough`);
  return { user: name };
}

export async function setId(admin: Administration, { terminal }: Invocation, [name = "", id = ""]: Words) {
  await admin.setId(name, await wordOrInput(id));
  terminal.line(`number of user ${name} set`);
  return { user: name };
}

export async function clearId(admin: Administration, { terminal }: Invocation, [name = ""]: Words) {
  await admin.setId(name, undefined);
  terminal.line(`user ${name} has no number any more`);
  return { user: name };
}

export async function unlockUser(admin: Administration, { terminal }: Invocation, [name = ""]: Words) {
  await admin.unlockUser(name);
  terminal.line(`wrong PINs of user ${name} forgotten`);
  return { user: name };
}

/** A number among the arguments shows in the process list; from standard input, for which - stands, it does not. */
export async function wordOrInput(word: string): Promise<string> {
  return word === "-" ? (await text(process.stdin)).trim() : word;
}
