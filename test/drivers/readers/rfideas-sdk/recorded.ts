/**
 * A pcProx session from its opening to the first read, as the public protocol description and its dumps have it: facility
 * code 118, card 1603 in H10301. `replies` are what each feature report that is got gives; the last one completes the read.
 */
export const RECORDED = {
  replies: [
    "0000371600010500",
    "030511101ab32804",
    "0000000000000000",
    "030500101ab32884",
    "0000000000000000",
    "860cec0200000000",
    "1a1a000000000000",
  ],
  said: [
    "8a00000000000000",
    "8000000000000000",
    "8200000000000000",
    "8000000000000000",
    "030500101ab32884",
    "9000000000000000",
    "8000000000000000",
    "9000000000000000",
    "8f00000000000000",
    "8f00000000000000",
    "8e00000000000000",
  ],
  reads: ["bb032180/26"],
} as const;
