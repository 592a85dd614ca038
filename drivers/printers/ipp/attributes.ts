import type { IppAttribute, IppData, IppGroup, IppMessage, IppValue } from "./message.ts";
import { GROUP, TAG } from "./tags.ts";

/** One attribute whose values all have one tag. */
export function attribute(name: string, tag: number, ...values: readonly IppData[]): IppAttribute {
  return { name, values: values.map((value) => ({ tag, value })) };
}

export const integer = (name: string, ...values: readonly number[]) => attribute(name, TAG.integer, ...values);
export const enumeration = (name: string, ...values: readonly number[]) => attribute(name, TAG.enum, ...values);
export const boolean = (name: string, value: boolean) => attribute(name, TAG.boolean, value);
export const keyword = (name: string, ...values: readonly string[]) => attribute(name, TAG.keyword, ...values);
export const uri = (name: string, ...values: readonly string[]) => attribute(name, TAG.uri, ...values);
export const text = (name: string, ...values: readonly string[]) => attribute(name, TAG.text, ...values);
export const nameText = (name: string, ...values: readonly string[]) => attribute(name, TAG.name, ...values);
export const mediaType = (name: string, ...values: readonly string[]) => attribute(name, TAG.mimeMediaType, ...values);

/** RFC 8011 4.1.4: charset first, natural language second, then the rest in the order given. */
export function operationGroup(...attributes: readonly IppAttribute[]): IppGroup {
  return {
    tag: GROUP.operation,
    attributes: [
      attribute("attributes-charset", TAG.charset, "utf-8"),
      attribute("attributes-natural-language", TAG.naturalLanguage, "en"),
      ...attributes,
    ],
  };
}

export function groupsOf(message: IppMessage, tag: number): readonly IppGroup[] {
  return message.groups.filter((group) => group.tag === tag);
}

/** The values of the first attribute of that name; none if it is absent. */
export function valuesOf(group: IppGroup | undefined, name: string): readonly IppValue[] {
  return group?.attributes.find((candidate) => candidate.name === name)?.values ?? [];
}

/** The numbers among the values (integer or enum). */
export function numbersOf(group: IppGroup | undefined, name: string): number[] {
  return valuesOf(group, name).flatMap(({ value }) => (typeof value === "number" ? [value] : []));
}

/** The texts among the values, with or without a language. */
export function stringsOf(group: IppGroup | undefined, name: string): string[] {
  return valuesOf(group, name).flatMap(({ value }) => {
    if (typeof value === "string") return [value];
    return typeof value === "object" && value !== null && "text" in value ? [value.text] : [];
  });
}

/** The first value if it is a boolean. */
export function booleanOf(group: IppGroup | undefined, name: string): boolean | undefined {
  const value = valuesOf(group, name)[0]?.value;
  return typeof value === "boolean" ? value : undefined;
}
