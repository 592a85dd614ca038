export const AUTH_PROTOCOLS = ["sha256", "sha512", "sha384", "sha224", "sha", "md5"] as const;
/** AES-128 of RFC 3826; `aes256b` (Blumenthal) and `aes256r` (Reeder, Cisco) are the two in use of 256 bits, in no RFC. */
export const PRIV_PROTOCOLS = ["aes", "aes256b", "aes256r"] as const;

/** What the agent wants to see before it answers. Communities and passwords are never logged. */
export type SnmpAccess =
  | { readonly version: "1" | "2c"; readonly community: string }
  | {
      readonly version: "3";
      readonly user: string;
      readonly authProtocol: (typeof AUTH_PROTOCOLS)[number];
      readonly privProtocol: (typeof PRIV_PROTOCOLS)[number];
      /** RFC 3414 11.2: at least 8 characters. Neither: noAuthNoPriv; the first alone: authNoPriv. */
      readonly authPassword?: string | undefined;
      readonly privPassword?: string | undefined;
      /** RFC 3411 3.3.1; "" is the default context. */
      readonly context: string;
    };
