import { annotatedToml } from "../settings/annotated.ts";
import { Schema } from "./schema.ts";

const HEAD = `# Printgate's configuration, in TOML (https://toml.io).
# Lines that begin with #name = are optional: they show the default, or an example where there is none.
# This file holds keys. Only the agent's user may read it: chmod 600 printgate.toml
# After a change: printgate config check`;

/** The annotated example: every key of the schema, with its documentation, unit, form and default. */
export const exampleToml = (): string => annotatedToml(Schema, HEAD);
