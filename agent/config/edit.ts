import { KeyLines, type KeyPath } from "../settings/key-lines.ts";

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

/**
 * Pure: the file with one key of a table set: its value replaced, or the key on a line of its own after the one named `after`.
 * Not one other byte changes. Undefined where that table's keys have no lines of their own, as in an inline table.
 */
export function withKey(file: string, table: KeyPath, after: string, { key, toml }: TomlEntry): string | undefined {
  const lines = new KeyLines(file);
  const old = lines.span([...table, key]);
  if (old !== undefined) return `${file.slice(0, old.start)}${toml}${file.slice(old.end)}`;
  const before = lines.span([...table, after]);
  if (before === undefined) return undefined;
  const lineStart = file.lastIndexOf("\n", before.start) + 1;
  const indent = /^[ \t]*/.exec(file.slice(lineStart, before.start))?.[0] ?? "";
  // `printer.uri = ...` names its table in the line; a bare key beside it would be of another table.
  if (/[^ \t]\./.test(file.slice(lineStart, before.start))) return undefined;
  const found = file.indexOf("\n", before.end);
  const lineEnd = found === -1 ? file.length : found + 1;
  const end = /\r\n/.test(file) ? "\r\n" : "\n";
  const gap = found === -1 ? end : "";
  return `${file.slice(0, lineEnd)}${gap}${indent}${key} = ${toml}${end}${file.slice(lineEnd)}`;
}
