// undici ships types for its index only; the part alone spares 8 MiB of resident memory (fetch, WebSocket, cache, mocks).
declare module "undici/lib/dispatcher/client.js" {
  import { Client } from "undici";
  export default Client;
}
