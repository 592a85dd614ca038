import { type AnySchema, type KeyNode, keysOf } from "./key.ts";

/** Every key of a schema as a TOML file to begin with: its documentation, unit, form and default. */
export function annotatedToml(schema: AnySchema, head: string): string {
  const blocks = keysOf(schema)
    .flat()
    .map((section) => {
      const told = new Set<string>();
      const tables = section.variants.map((keys) => table(section, section.name, keys, told));
      return [comment(section.doc.doc), tables.join("\n\n")].join("\n");
    });
  return `${[head, ...blocks].join("\n\n")}\n`;
}

/** `told`: keys that an earlier table of the section has explained in the same words. */
function table(section: KeyNode, name: string, keys: readonly KeyNode[], told: Set<string>): string {
  const values = keys.filter(({ shape }) => shape === "value").map((node) => value(node, told));
  const header = section.shape === "tables" ? `[[${name}]]` : `[${name}]`;
  const inner = keys
    .filter(({ shape }) => shape !== "value")
    .flatMap((node) =>
      node.variants.map((own) => `\n${comment(node.doc.doc)}\n${table(node, `${name}.${node.name}`, own, told)}`),
    );
  return [header, ...values, ...inner].join("\n");
}

function value(node: KeyNode, told: Set<string>): string {
  const { name, doc, needed } = node;
  const setting = `${needed || doc.shown ? "" : "#"}${name} = ${doc.example ?? literal(node.default)}`;
  const explanation = `${comment(doc.doc)}\n${comment(`  ${facts(node)}`)}`;
  if (told.has(`${name} ${explanation}`)) return setting;
  told.add(`${name} ${explanation}`);
  return `${explanation}\n${setting}`;
}

function facts({ doc, form, needed, default: byDefault }: KeyNode): string {
  const unit = doc.unit === undefined ? "" : `, in ${doc.unit}`;
  if (needed) return `${form}${unit}; needed`;
  if (doc.otherwise === undefined && byDefault === undefined) return `${form}${unit}; optional`;
  return `${form}${unit}; default: ${doc.otherwise ?? literal(byDefault)}`;
}

function comment(text: string): string {
  return `# ${text}`;
}

function literal(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(literal).join(", ")}]`;
  // A parsed pipeline knows how it was written.
  if (typeof value === "object" && value !== null && "text" in value) return JSON.stringify(value.text);
  return JSON.stringify(value);
}
