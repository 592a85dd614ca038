import { PrinterError } from "../../drivers/printer.ts";
import { decode, encode } from "../../drivers/printers/ipp/codec.ts";
import { IppCodecError, type IppGroup, type IppMessage } from "../../drivers/printers/ipp/message.ts";
import { capabilitiesOf, jobStatusOf, printerStateOf, refusalOf } from "../../drivers/printers/ipp/state.ts";
import { recordedReply } from "../drivers/printers/ipp/messages.ts";
import type { Behaviour, Target } from "./engine.ts";

/** The vectors of RFC 8010 messages that real printers have answered, and a server-error-busy. */
const SEEDS = [
  "0200000b0000000101470012617474726962757465732d6368617273657400057574662d3848001b617474726962757465732d6e61747572616c2d6c616e67756167650002656e45000b7072696e7465722d75726900186970703a2f2f31302e302e302e352f6970702f7072696e744400147265717565737465642d61747472696275746573000d7072696e7465722d737461746544000000157072696e7465722d73746174652d726561736f6e7344000000197072696e7465722d69732d616363657074696e672d6a6f627303",
  "020000050000000101470012617474726962757465732d6368617273657400057574662d3848001b617474726962757465732d6e61747572616c2d6c616e67756167650002656e45000b7072696e7465722d75726900186970703a2f2f31302e302e302e352f6970702f7072696e7442001472657175657374696e672d757365722d6e616d650005616c6963654200086a6f622d6e616d65000572656c2d3102210006636f706965730004000000024400057369646573001374776f2d73696465642d6c6f6e672d656467653400096d656469612d636f6c00004a0000000a6d656469612d73697a6534000000004a0000000b782d64696d656e73696f6e2100000004000052084a0000000b792d64696d656e73696f6e21000000040000740437000000004a0000000c6d656469612d736f7572636544000000046d61696e370000000003",
  "020005070000000101470012617474726962757465732d6368617273657400057574662d3848001b617474726962757465732d6e61747572616c2d6c616e67756167650002656e41000e7374617475732d6d65737361676500046275737903",
  "0200000000000001" + "0121fff7",
].map((hex) => Uint8Array.fromHex(hex));

/** A reply is decoded whole or refused with its code; what was decoded can be encoded; every reading of it is total. */
const reply: Target = {
  name: "ipp-reply",
  seeds: [recordedReply(), ...SEEDS],
  run(input): Behaviour {
    let message: IppMessage;
    try {
      message = decode(input);
    } catch (error) {
      if (error instanceof IppCodecError) return error.code;
      throw error;
    }
    for (const group of message.groups) readAll(group);
    refusalOf(message);
    return `${message.groups.map(({ tag }) => tag).join()} ${encodedAgain(message)}`;
  },
};

function readAll(group: IppGroup): void {
  capabilitiesOf(group);
  jobStatusOf(group);
  try {
    printerStateOf(group);
  } catch (error) {
    if (!(error instanceof PrinterError)) throw error;
  }
}

/** What we would not send ourselves is refused with a code; everything else survives the way there and back. */
function encodedAgain(message: IppMessage): string {
  let bytes: Uint8Array;
  try {
    bytes = encode(message);
  } catch (error) {
    if (error instanceof IppCodecError) return error.code;
    throw error;
  }
  const again = JSON.stringify(decode(bytes).groups);
  if (again !== JSON.stringify(message.groups)) throw new Error("encoded and decoded again it is another message");
  return "same";
}

export const IPP_TARGETS: readonly Target[] = [reply];
