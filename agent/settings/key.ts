import { isIP } from "node:net";
import * as z from "zod/mini";
import type { KeyPath } from "./key-lines.ts";

/** What people are told about a key; default and allowed values come from its schema. */
export interface KeyDoc {
  readonly doc: string;
  /** Of a number, where its name does not say it. */
  readonly unit?: string;
  /** A value in TOML, for a key without a default. */
  readonly example?: string;
  /** The default in words, where it depends on other keys. */
  readonly otherwise?: string;
  /** Optional, but set in the example, which would be incomplete without it. */
  readonly shown?: true;
  /** A file that holds it must be its owner's alone. */
  readonly secret?: true;
}

const DOCS = z.registry<KeyDoc>();
const FORMS = z.registry<{ readonly form: string }>();

export type AnySchema = z.core.$ZodType;

/** Attaches its documentation to a key; the one place where it is written. */
export function key<S extends AnySchema>(schema: S, doc: KeyDoc): S {
  DOCS.add(schema, doc);
  return schema;
}

/** A schema whose every refusal says `must be FORM`. */
function takes<S extends AnySchema>(form: string, make: (message: string) => S): S {
  const schema = make(`must be ${form}`);
  FORMS.add(schema, { form });
  return schema;
}

export const whole = (min: number, max: number) =>
  takes(`a whole number from ${min} to ${max}`, (m) => z.int(m).check(z.gte(min, m), z.lte(max, m)));

export const flag = () => takes("true or false", (m) => z.boolean(m));

export const text = (form: string, pattern: RegExp) => takes(form, (m) => z.string(m).check(z.regex(pattern, m)));

/** As the protocol's names (agent/protocol/schema.ts). */
export const name = () =>
  text("1 to 63 of a-z, 0-9, `.`, `_`, `-`, beginning with a letter or digit", /^[a-z0-9][a-z0-9._-]{0,62}$/);

export const line = (form: string, max: number) => text(form, new RegExp(`^[\\x20-\\x7e]{1,${max}}$`));

export const path = () => text("an absolute path", /^\/[^\0]{0,1000}$/);

export const oneOf = <const T extends readonly [string | number, ...(string | number)[]]>(values: T) =>
  takes(`one of ${values.map((value) => JSON.stringify(value)).join(", ")}`, (m) => z.literal(values, m));

export const list = <S extends AnySchema>(form: string, item: S, min = 0) =>
  takes(form, (m) => z.array(item, m).check(z.minLength(min, m), z.maxLength(64, m)));

/** Text that `parse` turns into what the program uses; `parse` calls `refuse` for a reason of its own, or throws for the common one. */
export const parsed = <T>(form: string, parse: (text: string, refuse: (why: string) => never) => T) =>
  takes(form, (message) =>
    z.pipe(
      z.string(message),
      z.transform((text, context): T => {
        let why = message;
        try {
          return parse(text, (reason) => {
            why = reason;
            throw new TypeError("refused");
          });
        } catch {
          // The reason is `why`; the parsers' own messages would repeat the value, which may be a key.
          context.issues.push({ code: "custom", message: why, input: text });
          return z.NEVER;
        }
      }),
    ),
  );

/** Throws where it is false; for the parsers of `parsed`. */
export function demand(condition: boolean): asserts condition {
  if (!condition) throw new TypeError("refused");
}

export interface HostAndPort {
  readonly host: string;
  readonly port: number;
}

export const hostAndPort = (example: string) =>
  parsed(`HOST:PORT, such as ${example}`, (text): HostAndPort => {
    const found = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9_.-]{1,253})):([0-9]{1,5})$/.exec(text);
    const [, ipv6, name, digits] = found ?? [];
    const port = Number(digits);
    demand(found !== null && port <= 65_535 && (ipv6 === undefined || isIP(ipv6) === 6));
    return { host: ipv6 ?? name ?? "", port };
  });

/** An IP address or a CIDR range. */
export const network = () =>
  parsed("an IP address or a range such as 10.0.0.0/24", (text) => {
    const [, address = "", prefix] = /^([0-9A-Fa-f:.]+)(?:\/([0-9]{1,3}))?$/.exec(text) ?? [];
    const version = isIP(address);
    demand(version !== 0 && Number(prefix ?? 0) <= (version === 4 ? 32 : 128));
    return text;
  });

/** One key, table or array of tables as the example and the messages need it. */
export interface KeyNode {
  readonly name: string;
  readonly doc: KeyDoc;
  /** What the value must be, in words. */
  readonly form: string;
  readonly needed: boolean;
  /** Undefined where there is none, or where it is in `doc.otherwise`. */
  readonly default: unknown;
  readonly shape: "value" | "table" | "tables";
  /** The keys of a table; those of each family, where the table has a `family`. */
  readonly variants: readonly (readonly KeyNode[])[];
}

/** The keys of a table's schema, as plain data. */
export function keysOf(table: AnySchema): readonly (readonly KeyNode[])[] {
  if (table instanceof z.ZodMiniDiscriminatedUnion) return table._zod.def.options.flatMap((option) => keysOf(option));
  if (!(table instanceof z.ZodMiniObject)) return [];
  return [Object.entries<AnySchema>(table._zod.def.shape).map(([name, schema]) => nodeOf(name, schema))];
}

function nodeOf(name: string, outer: AnySchema): KeyNode {
  let schema = outer;
  let needed = true;
  let byDefault: unknown;
  while (
    schema instanceof z.ZodMiniDefault ||
    schema instanceof z.ZodMiniOptional ||
    schema instanceof z.ZodMiniPrefault
  ) {
    if (schema instanceof z.ZodMiniDefault) byDefault = schema._zod.def.defaultValue;
    needed = false;
    schema = schema._zod.def.innerType;
  }
  const element = schema instanceof z.ZodMiniArray ? schema._zod.def.element : undefined;
  const elementKeys = element === undefined ? [] : keysOf(element);
  const isTables = elementKeys.length > 0;
  const variants = isTables ? elementKeys : keysOf(schema);
  return {
    name,
    doc: DOCS.get(outer) ?? { doc: "" },
    form: FORMS.get(schema)?.form ?? "",
    needed,
    default: byDefault,
    shape: isTables ? "tables" : variants.length > 0 ? "table" : "value",
    variants,
  };
}

/** The names of the keys that may stand in the table at `path`, for suggestions. */
export function namesAt(root: AnySchema, path: KeyPath, family: unknown): readonly string[] {
  let variants = keysOf(root);
  for (const segment of path) {
    if (typeof segment === "number") continue;
    variants = variants.flatMap((keys) => keys.filter(({ name }) => name === segment)).flatMap((node) => node.variants);
  }
  const quoted = typeof family === "string" ? JSON.stringify(family) : undefined;
  const own = variants.filter((keys) =>
    keys.some((node) => node.name === "family" && quoted !== undefined && node.form.includes(quoted)),
  );
  return (own.length > 0 ? own : variants).flat().map((node) => node.name);
}
