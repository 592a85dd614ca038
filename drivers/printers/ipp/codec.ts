import {
  type IppAttribute,
  type IppCode,
  IppCodecError,
  type IppData,
  type IppGroup,
  type IppLocalized,
  type IppMessage,
  type IppRange,
  type IppResolution,
  type IppValue,
} from "./message.ts";
import { GROUP, TAG } from "./tags.ts";

const MAX_HEADER = 1_048_576;
const MAX_ATTRIBUTES = 20_000;
const MAX_DEPTH = 16;
/** RFC 8010 3.7: lengths are SIGNED-SHORT, so nobody may send more. */
const MAX_LENGTH = 32_767;

/** RFC 8010 3.9: the largest value of each text-like type, in octets. */
const TEXT_LIMITS: ReadonlyMap<number, number> = new Map([
  [TAG.text, 1023],
  [TAG.name, 255],
  [TAG.keyword, 255],
  [TAG.uri, 1023],
  [TAG.uriScheme, 63],
  [TAG.charset, 63],
  [TAG.naturalLanguage, 63],
  [TAG.mimeMediaType, 255],
]);

// `ignoreBOM` keeps a leading U+FEFF, so that what was decoded can be encoded again to the same octets.
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Decodes a request or a response; throws only `IppCodecError`. `ipp-truncated` means that nothing is wrong so far,
 * so whoever reads a stream may try again with more octets; after 1 MiB it turns into `ipp-too-large`.
 */
export function decode(bytes: Uint8Array): IppMessage {
  return new Decoder(bytes).message();
}

class Decoder {
  readonly #bytes: Buffer;
  #at = 0;
  #attributes = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  message(): IppMessage {
    const version = this.#u16("version");
    const code = this.#u16("code");
    const requestId = this.#take(4, "request id").readUInt32BE();
    const groups = this.#groups();
    return { version, code, requestId, groups, data: this.#bytes.subarray(this.#at) };
  }

  #groups(): IppGroup[] {
    const groups: IppGroup[] = [];
    let attributes: IppAttribute[] | undefined;
    let values: IppValue[] | undefined;
    for (;;) {
      const start = this.#at;
      const tag = this.#u8("tag");
      if (tag === GROUP.end) return groups;
      if (tag < 0x10) {
        if (tag === 0) throw this.#error("ipp-bad-tag", "group tag 0x00", start);
        attributes = [];
        values = undefined;
        groups.push({ tag, attributes });
        continue;
      }
      if (attributes === undefined) throw this.#error("ipp-bad-tag", "attribute outside of a group", start);
      const name = this.#take(this.#u16("name length"), "name").toString("latin1");
      if (name !== "") {
        values = [];
        this.#attribute(attributes, { name, values });
      } else if (values === undefined) {
        throw this.#error("ipp-bad-tag", "further value without an attribute", start);
      }
      values.push({ tag, value: this.#value(tag, 0) });
    }
  }

  #attribute(into: IppAttribute[], attribute: IppAttribute): void {
    this.#attributes += 1;
    if (this.#attributes > MAX_ATTRIBUTES) throw this.#error("ipp-too-large", "too many attributes", this.#at);
    into.push(attribute);
  }

  /** RFC 8010 3.1.6: members are pairs of memberAttrName and values, up to endCollection. */
  #members(depth: number): IppAttribute[] {
    if (depth > MAX_DEPTH) throw this.#error("ipp-too-large", "collections too deep", this.#at);
    const members: IppAttribute[] = [];
    let values: IppValue[] | undefined;
    for (;;) {
      const start = this.#at;
      const tag = this.#u8("tag");
      if (tag < 0x10) throw this.#error("ipp-bad-tag", "collection not closed", start);
      if (this.#u16("name length") !== 0) throw this.#error("ipp-bad-length", "name in a collection", start);
      if (values?.length === 0 && (tag === TAG.memberAttrName || tag === TAG.endCollection)) {
        throw this.#error("ipp-bad-tag", "member without a value", start);
      }
      if (tag === TAG.endCollection) {
        this.#exactly(0, this.#u16("value length"), start);
        return members;
      }
      if (tag === TAG.memberAttrName) {
        const name = this.#take(this.#u16("value length"), "member name").toString("latin1");
        if (name === "") throw this.#error("ipp-bad-length", "empty member name", start);
        values = [];
        this.#attribute(members, { name, values });
        continue;
      }
      if (values === undefined) throw this.#error("ipp-bad-tag", "member value before its name", start);
      values.push({ tag, value: this.#value(tag, depth) });
    }
  }

  #value(tag: number, depth: number): IppData {
    const start = this.#at;
    const length = this.#u16("value length");
    const bytes = this.#take(length, "value");
    if (tag < 0x20) {
      this.#exactly(0, length, start);
      return null;
    }
    switch (tag) {
      case TAG.integer:
      case TAG.enum:
        this.#exactly(4, length, start);
        return bytes.readInt32BE();
      case TAG.boolean: {
        this.#exactly(1, length, start);
        const octet = bytes.readUInt8();
        if (octet > 1) throw this.#error("ipp-bad-value", "boolean", start);
        return octet === 1;
      }
      case TAG.dateTime:
        this.#exactly(11, length, start);
        return new Uint8Array(bytes);
      case TAG.resolution:
        this.#exactly(9, length, start);
        return { cross: bytes.readInt32BE(0), feed: bytes.readInt32BE(4), units: bytes.readInt8(8) };
      case TAG.rangeOfInteger:
        this.#exactly(8, length, start);
        return { lower: bytes.readInt32BE(0), upper: bytes.readInt32BE(4) };
      case TAG.begCollection:
        this.#exactly(0, length, start);
        return this.#members(depth + 1);
      case TAG.textWithLanguage:
      case TAG.nameWithLanguage:
        return this.#localized(bytes, start);
      case TAG.endCollection:
      case TAG.memberAttrName:
        throw this.#error("ipp-bad-tag", "collection part outside of a collection", start);
      default:
        return TEXT_LIMITS.has(tag) ? textOf(bytes) : new Uint8Array(bytes);
    }
  }

  /** RFC 8010 3.9: language and text, each with a length of its own inside the value. */
  #localized(bytes: Buffer, start: number): IppLocalized | Uint8Array {
    const middle = bytes.length < 2 ? Number.NaN : 2 + bytes.readUInt16BE(0);
    const fits = middle + 2 <= bytes.length && middle + 2 + bytes.readUInt16BE(middle) === bytes.length;
    if (!fits) throw this.#error("ipp-bad-length", "language and text", start);
    const language = textOf(bytes.subarray(2, middle));
    const text = textOf(bytes.subarray(middle + 2));
    return typeof language === "string" && typeof text === "string" ? { language, text } : new Uint8Array(bytes);
  }

  #exactly(wanted: number, length: number, at: number): void {
    if (length !== wanted) throw this.#error("ipp-bad-length", `length ${length} where ${wanted} is due`, at);
  }

  #u8(what: string): number {
    return this.#take(1, what).readUInt8();
  }

  #u16(what: string): number {
    return this.#take(2, what).readUInt16BE();
  }

  #take(length: number, what: string): Buffer {
    const end = this.#at + length;
    if (end > MAX_HEADER) throw this.#error("ipp-too-large", "attributes", this.#at);
    if (end > this.#bytes.length) throw this.#error("ipp-truncated", what, this.#at);
    const bytes = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return bytes;
  }

  #error(code: IppCode, detail: string, offset: number): IppCodecError {
    return new IppCodecError(code, detail, offset);
  }
}

/** Printers do send Latin-1 under the name of UTF-8; the octets are kept rather than the whole reply refused. */
function textOf(bytes: Uint8Array): string | Uint8Array {
  try {
    return utf8.decode(bytes);
  } catch (error) {
    if (error instanceof TypeError) return new Uint8Array(bytes);
    throw error;
  }
}

/** Encodes a request or a response; throws `IppCodecError` for what must not go out. `data` is appended as it is. */
export function encode(message: IppMessage): Uint8Array {
  return new Encoder().message(message);
}

class Encoder {
  readonly #parts: Uint8Array[] = [];
  #length = 0;
  #attributes = 0;

  message({ version, code, requestId, groups, data }: IppMessage): Uint8Array {
    this.#unsigned(version, 2, "version");
    this.#unsigned(code, 2, "code");
    this.#unsigned(requestId, 4, "request id");
    for (const { tag, attributes } of groups) {
      if (tag === GROUP.end || !(tag > 0 && tag < 0x10)) throw this.#bad("group tag");
      this.#unsigned(tag, 1, "group tag");
      for (const { name, values } of attributes) this.#attribute(name, values);
    }
    this.#unsigned(GROUP.end, 1, "end tag");
    if (this.#length > MAX_HEADER) throw new IppCodecError("ipp-too-large", "attributes", this.#length);
    this.#parts.push(data);
    return Buffer.concat(this.#parts);
  }

  #attribute(name: string, values: readonly IppValue[]): void {
    this.#count(values);
    let nameBytes = this.#name(name);
    for (const value of values) {
      this.#unsigned(value.tag, 1, "tag");
      this.#field(nameBytes);
      this.#value(value, 0);
      nameBytes = NOTHING;
    }
  }

  #members(members: readonly IppAttribute[], depth: number): void {
    if (depth > MAX_DEPTH) throw new IppCodecError("ipp-too-large", "collections too deep", this.#length);
    for (const { name, values } of members) {
      this.#count(values);
      this.#unsigned(TAG.memberAttrName, 1, "tag");
      this.#field(NOTHING);
      this.#field(this.#name(name));
      for (const value of values) {
        this.#unsigned(value.tag, 1, "tag");
        this.#field(NOTHING);
        this.#value(value, depth);
      }
    }
    this.#unsigned(TAG.endCollection, 1, "tag");
    this.#field(NOTHING);
    this.#field(NOTHING);
  }

  #count(values: readonly IppValue[]): void {
    if (values.length === 0) throw this.#bad("attribute without a value");
    this.#attributes += 1;
    if (this.#attributes > MAX_ATTRIBUTES)
      throw new IppCodecError("ipp-too-large", "too many attributes", this.#length);
  }

  #value({ tag, value }: IppValue, depth: number): void {
    if (tag === TAG.begCollection) {
      if (!Array.isArray(value)) throw this.#bad("collection");
      this.#field(NOTHING);
      this.#members(value, depth + 1);
    } else {
      this.#field(this.#octets(tag, value));
    }
  }

  #octets(tag: number, value: IppData): Uint8Array {
    if (tag < 0x10 || tag > 0xff) throw this.#bad("value tag");
    if (tag < 0x20) {
      if (value !== null) throw this.#bad("out-of-band value");
      return NOTHING;
    }
    switch (tag) {
      case TAG.integer:
      case TAG.enum:
        return this.#int32s([value]);
      case TAG.boolean:
        if (typeof value !== "boolean") throw this.#bad("boolean");
        return Uint8Array.of(value ? 1 : 0);
      case TAG.dateTime:
        if (!(value instanceof Uint8Array) || value.length !== 11) throw this.#bad("dateTime");
        return value;
      case TAG.resolution: {
        if (!isRecord(value) || !("cross" in value)) throw this.#bad("resolution");
        if (!Number.isInteger(value.units) || value.units < -128 || value.units > 127)
          throw this.#bad("resolution units");
        return Buffer.concat([this.#int32s([value.cross, value.feed]), Uint8Array.of(value.units & 0xff)]);
      }
      case TAG.rangeOfInteger:
        if (!isRecord(value) || !("lower" in value)) throw this.#bad("rangeOfInteger");
        return this.#int32s([value.lower, value.upper]);
      case TAG.textWithLanguage:
      case TAG.nameWithLanguage: {
        if (value instanceof Uint8Array) return value;
        if (!isRecord(value) || !("language" in value)) throw this.#bad("text with language");
        const language = this.#text(value.language, 63);
        const text = this.#text(value.text, tag === TAG.textWithLanguage ? 1023 : 255);
        return Buffer.concat([u16(language.length), language, u16(text.length), text]);
      }
      case TAG.endCollection:
      case TAG.memberAttrName:
        throw this.#bad("collection part outside of a collection");
      default: {
        const limit = TEXT_LIMITS.get(tag);
        if (limit !== undefined && typeof value === "string") return this.#text(value, limit);
        if (!(value instanceof Uint8Array)) throw this.#bad("octets");
        if (value.length > (limit ?? (tag === TAG.octetString ? 1023 : MAX_LENGTH))) throw this.#bad("octets too long");
        return value;
      }
    }
  }

  #int32s(values: readonly IppData[]): Buffer {
    const bytes = Buffer.alloc(values.length * 4);
    for (const [index, value] of values.entries()) {
      if (typeof value !== "number" || value !== (value | 0)) throw this.#bad("32-bit integer");
      bytes.writeInt32BE(value, index * 4);
    }
    return bytes;
  }

  #text(text: string, limit: number): Buffer {
    if (typeof text !== "string" || !text.isWellFormed()) throw this.#bad("text");
    const bytes = Buffer.from(text);
    if (bytes.length > limit) throw this.#bad(`text longer than ${limit} octets`);
    return bytes;
  }

  /** RFC 8011 5.1.4: names are keywords, ASCII and at most 255 long. */
  #name(name: string): Uint8Array {
    if (!/^[\x21-\x7e]{1,255}$/.test(name)) throw this.#bad("attribute name");
    return Buffer.from(name, "latin1");
  }

  #field(bytes: Uint8Array): void {
    this.#push(u16(bytes.length));
    this.#push(bytes);
  }

  #unsigned(value: number, octets: 1 | 2 | 4, what: string): void {
    if (!Number.isInteger(value) || value < 0 || value >= 2 ** (8 * octets)) throw this.#bad(what);
    const bytes = Buffer.alloc(octets);
    bytes.writeUIntBE(value, 0, octets);
    this.#push(bytes);
  }

  #push(bytes: Uint8Array): void {
    this.#parts.push(bytes);
    this.#length += bytes.length;
  }

  #bad(detail: string): IppCodecError {
    return new IppCodecError("ipp-bad-value", detail, this.#length);
  }
}

const NOTHING = new Uint8Array(0);

function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

function isRecord(value: IppData): value is IppResolution | IppRange | IppLocalized {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}
