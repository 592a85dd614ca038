/**
 * An rf IDEAS reader, echo and prompt still on, from its opening to the first read: the manuals' example of a card, read just
 * now. Each of `replies` answers the message of the same index in `said`; the last one completes the read.
 */
export const RECORDED = {
  said: ["rfid:cmd.echo=0\r", "rfid:cmd.prompt=0\r", "rfid:out.led=255\r", "rfid:qid.id\r", "rfid:qid.id\r"],
  replies: [
    "rfid:cmd.echo=0\r\r\nRF IDeas>",
    "",
    "",
    "{0x0000,0,0x0000,0;0x00}\r\n",
    "{0x0002,0,0x0016,80;0x000000801CD1931B2F14}\r\n",
  ],
  reads: ["000000801cd1931b2f14/80"],
} as const;
