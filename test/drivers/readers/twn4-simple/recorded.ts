/**
 * A TWN4 from its opening to the first read, in the vendor's own examples (Simple Protocol DocRev25). Each of `replies`
 * answers the message of the same index in `said`; the last one completes the read.
 */
export const RECORDED = {
  said: ["0004FF\r", "041007\r", "041207\r", "0417\r", "050020\r", "050020\r", "050020\r"],
  replies: [
    "001D54574E342F42312E30332F434346312E35372F505253312E30332F5049\r",
    "00\r",
    "00\r",
    "00\r",
    "0000\r",
    "0000\r",
    "000180200466CF4DC2\r",
  ],
  reads: ["66cf4dc2/32"],
} as const;
