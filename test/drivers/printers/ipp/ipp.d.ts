/** The little of npm `ipp` (CommonJS, without types) that the differential test uses. */
declare module "ipp" {
  export interface Message {
    version?: string;
    operation?: string;
    statusCode?: string;
    id?: number;
    data?: unknown;
    [group: string]: unknown;
  }
  export function parse(bytes: Buffer): Message;
  export function serialize(message: Message): Buffer;
  const ipp: { parse: typeof parse; serialize: typeof serialize };
  export default ipp;
}
