import { type CodeTable, codedError } from "../../coded-error.ts";

/** RFC 8010 3: one request or response. Nothing in it is keyed by a name from the wire. */
export interface IppMessage {
  /** Major in the high octet, minor in the low one: 0x0200 is 2.0. */
  readonly version: number;
  /** operation-id of a request, status-code of a response. */
  readonly code: number;
  readonly requestId: number;
  /** In wire order; a tag may come more than once (one job group per job in Get-Jobs). */
  readonly groups: readonly IppGroup[];
  /** What follows the attributes: the document, or nothing. A decoded message shares memory with its input. */
  readonly data: Uint8Array;
}

export interface IppGroup {
  readonly tag: number;
  readonly attributes: readonly IppAttribute[];
}

export interface IppAttribute {
  readonly name: string;
  /** At least one. */
  readonly values: readonly IppValue[];
}

export interface IppValue {
  readonly tag: number;
  readonly value: IppData;
}

/**
 * By tag: `null` out-of-band; number for integer and enum; boolean; string for the text-like tags; `Uint8Array` for
 * octetString, dateTime, any tag that we do not know, and a text that is not UTF-8; an array of members for a collection.
 */
export type IppData =
  | null
  | number
  | boolean
  | string
  | Uint8Array
  | IppResolution
  | IppRange
  | IppLocalized
  | readonly IppAttribute[];

export interface IppResolution {
  readonly cross: number;
  readonly feed: number;
  /** 3 dots per inch, 4 dots per cm. */
  readonly units: number;
}

export interface IppRange {
  readonly lower: number;
  readonly upper: number;
}

export interface IppLocalized {
  readonly language: string;
  readonly text: string;
}

export const IPP_CODES = {
  "ipp-truncated": {
    what: "An IPP message ends in the middle of a field.",
    next: "Check the network between agent and printer.",
  },
  "ipp-bad-tag": {
    what: "An IPP message has a tag where it cannot stand.",
    next: "Update the printer's firmware.",
  },
  "ipp-bad-length": {
    what: "A value in an IPP message has a length that its type does not have.",
    next: "Update the printer's firmware.",
  },
  "ipp-bad-value": {
    what: "A value in an IPP message is not one of its type.",
    next: "Update the printer's firmware.",
  },
  "ipp-too-large": {
    what: "An IPP message is larger than any honest one.",
    next: "Find out what answers at the printer's address.",
  },
} as const satisfies CodeTable;

export type IppCode = keyof typeof IPP_CODES;

export class IppCodecError extends codedError(IPP_CODES) {
  /** Octets from the start of the message. */
  readonly offset: number;

  constructor(code: IppCode, detail: string, offset: number) {
    super(code, `${detail} at octet ${offset}`);
    this.offset = offset;
  }
}
