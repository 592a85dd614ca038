/** A key of a table to be written, its value already in TOML. */
export interface TomlEntry {
  readonly key: string;
  readonly toml: string;
}

/** Printable text; what is not printable has no business in a configuration. */
export function tomlText(key: string, text: string): TomlEntry {
  // A basic string of TOML escapes as JSON does, and JSON leaves DEL as it is.
  return { key, toml: JSON.stringify(text).replaceAll("\x7f", "\\u007f") };
}

export function tomlHex(key: string, value: number): TomlEntry {
  return { key, toml: `0x${value.toString(16).padStart(4, "0")}` };
}

export function tableToml(name: string, entries: readonly TomlEntry[]): string {
  return [`[[${name}]]`, ...entries.map(({ key, toml }) => `${key} = ${toml}`)].join("\n");
}

/**
 * Pure: the file with one more table at its end, where TOML takes it whatever stands before. Not one byte of what is there
 * changes: comments, order and line ends stay.
 */
export function withTable(file: string, table: string): string {
  const end = /\r\n/.test(file) ? "\r\n" : "\n";
  const gap = file === "" ? "" : file.endsWith("\n") ? end : `${end}${end}`;
  return `${file}${gap}${table.replaceAll("\n", end)}${end}`;
}
