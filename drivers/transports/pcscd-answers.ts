import { connect } from "node:net";
import type { Clock } from "../clock.ts";

/** Where libpcsclite looks for the service, too. */
const SOCKET = "/run/pcscd/pcscd.comm";
/** Longer than systemd takes to start a service that is not there yet, and polkit to let us in. */
const ANSWER_MS = 3000;
/** pcsc-lite's winscard_msg.h: size and command of what follows, then major and minor version and room for a result. */
const VERSION_COMMAND = 0x11;
const QUESTION = new Uint8Array(new Uint32Array([12, VERSION_COMMAND, 4, 4, 0]).buffer);

/**
 * Whether pcscd is there and answers, asked for its version; undefined when it does, otherwise why not. Starting and stopping
 * a client of the library block the process for as long as pcscd is silent, so that it is asked first.
 */
export function pcscdSilence(clock: Clock): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect(process.env.PCSCLITE_CSOCK_NAME ?? SOCKET);
    const over = (reason: string | undefined) => {
      cancel();
      socket.destroy();
      resolve(reason);
    };
    const cancel = clock.after(ANSWER_MS, () => over("does not answer"));
    socket.on("connect", () => socket.write(QUESTION));
    socket.on("data", () => over(undefined));
    socket.on("end", () => over("refuses"));
    socket.on("error", (error) => over("code" in error && typeof error.code === "string" ? error.code : error.message));
  });
}
