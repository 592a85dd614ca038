// What multicast-dns is made of ships no types either; these are the few that the simulated printer uses (5.6).
declare module "dns-packet" {
  export interface Answer {
    readonly name: string;
    readonly type: string;
    readonly ttl: number;
    readonly data: string | readonly string[] | { readonly port: number; readonly target: string };
  }

  const dnsPacket: {
    decode(bytes: Buffer): { readonly type: string; readonly questions?: readonly { readonly name: string }[] };
    encode(packet: { readonly type: "response"; readonly answers: readonly Answer[] }): Buffer;
  };
  export default dnsPacket;
}
