const SIGNATURES: readonly (readonly [signature: string, format: string])[] = [
  ["%PDF-", "application/pdf"],
  ["RaS2", "image/pwg-raster"], // PWG 5102.4 4.2
  ["UNIRAST\0", "image/urf"],
  ["\x1bE", "application/vnd.hp-pcl"],
  ["%!", "application/postscript"],
  ["\xff\xd8\xff", "image/jpeg"],
];

/** How many first octets of a document `guessFormat` looks at. */
export const SIGNATURE_BYTES = 8;

/** The MIME type that a document's first octets speak for, or undefined. */
export function guessFormat(head: Uint8Array): string | undefined {
  const start = Buffer.from(head.subarray(0, SIGNATURE_BYTES)).toString("latin1");
  return SIGNATURES.find(([signature]) => start.startsWith(signature))?.[1];
}
