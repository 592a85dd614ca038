/** What the transport tells of one card on a reader that has no lamp: the name, the card's ATR (MIFARE 1K), its UID. */
export const RECORDED = {
  told: ["005669727475616c20504344203030203030", "013b8f8001804f0ca000000306030001000000006a", "0404a2b3c49000"],
  asked: ["00", "01ffca000000", "03"],
  reads: ["04a2b3c4/32"],
} as const;
