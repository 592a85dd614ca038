import { systemClock } from "../../drivers/clock.ts";
import { SerialTransport } from "../../drivers/transports/serial.ts";

// A process that does nothing but read one serial line, so nothing else wakes its event loop. Not a whole reader:
// that one watches /dev, where every write to a pseudo-terminal is an event.
// The timer stands for the servers of an agent, which keep its loop waiting for events.
setInterval(() => {}, 3_600_000);
const transport = new SerialTransport(
  { path: process.argv[2] ?? "", baudRate: 9600, dataBits: 8, parity: "none", stopBits: 1 },
  systemClock,
);
await transport.open({
  data: (bytes) => process.stdout.write(bytes),
  closed: ({ code }) => process.stdout.write(`${code}\n`),
});
process.stdout.write("open\n");
