/**
 * Pure: DNS-SD (RFC 6763) out of mDNS packets (RFC 6762). Records of one service may come in any packets and any order; what is
 * missing is asked for. Everything in them is a stranger's: it is bounded, and made printable where it is shown.
 */

/** A record as dns-packet hands it out; anything may be in it. */
export interface DnsRecord {
  readonly name?: unknown;
  readonly type?: unknown;
  readonly ttl?: unknown;
  readonly data?: unknown;
}

export interface DnsQuestion {
  readonly name: string;
  readonly type: "PTR" | "SRV" | "TXT" | "A" | "AAAA";
}

export interface Service {
  /** Such as `_ipps._tcp`. */
  readonly type: string;
  /** The instance's name, such as `ACME Laser (lobby)`. */
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly addresses: readonly string[];
  /** Keys in lower case. */
  readonly txt: ReadonlyMap<string, string>;
}

const MAX_SERVICES = 256;
const MAX_HOSTS = 256;
const MAX_ADDRESSES = 8;
const MAX_TXT_KEYS = 64;
/** RFC 1035 3.1. */
const MAX_NAME = 255;
/** In one query, so that it fits a packet. */
const MAX_QUESTIONS = 20;

interface Instance {
  readonly type: string;
  readonly name: string;
  /** As it came: who is asked by it answers to it. */
  readonly wire: string;
  srv?: { readonly host: string; readonly port: number };
  txt?: ReadonlyMap<string, string>;
}

export class ServiceCollector {
  readonly #types: readonly string[];
  readonly #instances = new Map<string, Instance>();
  readonly #hosts = new Map<string, Set<string>>();

  /** `types`: such as `_ipp._tcp`. */
  constructor(types: readonly string[]) {
    this.#types = types;
  }

  /** The first questions, whatever is known. */
  get browse(): readonly DnsQuestion[] {
    return this.#types.map((type) => ({ name: `${type}.local`, type: "PTR" }));
  }

  /** Takes the records of one packet. Never throws. */
  push(records: readonly unknown[]): void {
    for (const record of records) {
      if (typeof record === "object" && record !== null) this.#take(record);
    }
  }

  /** What is still to be asked, a packet's worth of it. */
  get missing(): readonly DnsQuestion[] {
    const questions: DnsQuestion[] = [];
    for (const { wire, srv, txt } of this.#instances.values()) {
      if (srv === undefined) questions.push({ name: wire, type: "SRV" });
      if (txt === undefined) questions.push({ name: wire, type: "TXT" });
      if (srv !== undefined && !this.#hosts.has(srv.host.toLowerCase())) questions.push({ name: srv.host, type: "A" });
    }
    return questions.slice(0, MAX_QUESTIONS);
  }

  /** Those of which host, port and an address are known. */
  get services(): readonly Service[] {
    return [...this.#instances.values()].flatMap(({ type, name, srv, txt = new Map() }) => {
      const addresses = [...(this.#hosts.get(srv?.host.toLowerCase() ?? "") ?? [])];
      return srv === undefined || addresses.length === 0 ? [] : [{ type, name, ...srv, addresses, txt }];
    });
  }

  #take({ name, type, ttl, data }: DnsRecord): void {
    if (typeof name !== "string" || name.length > MAX_NAME) return;
    if (type === "A" || type === "AAAA") this.#address(name.toLowerCase(), data, ttl === 0);
    const wire = type === "PTR" ? data : name;
    if (typeof wire !== "string" || wire.length > MAX_NAME) return;
    const instance = this.#instance(wire);
    if (instance === undefined) return;
    // RFC 6762 10.1: it says good-bye.
    if (type === "PTR" && ttl === 0) this.#instances.delete(wire.toLowerCase());
    if (type === "SRV" && isSrv(data)) instance.srv = { host: data.target, port: data.port };
    if (type === "TXT") instance.txt = txtOf(data);
  }

  /** The known or new instance of one of our types. */
  #instance(wire: string): Instance | undefined {
    const key = wire.toLowerCase();
    const known = this.#instances.get(key);
    if (known !== undefined) return known;
    const type = this.#types.find((one) => key.endsWith(`.${one}.local`));
    if (type === undefined || this.#instances.size >= MAX_SERVICES) return undefined;
    const instance: Instance = { type, name: wire.slice(0, -`.${type}.local`.length), wire };
    this.#instances.set(key, instance);
    return instance;
  }

  #address(host: string, data: unknown, isGone: boolean): void {
    if (typeof data !== "string" || data.length > 45) return;
    const addresses = this.#hosts.get(host) ?? new Set<string>();
    if (isGone) addresses.delete(data);
    else if (addresses.size < MAX_ADDRESSES && (this.#hosts.has(host) || this.#hosts.size < MAX_HOSTS)) {
      this.#hosts.set(host, addresses.add(data));
    }
  }
}

function isSrv(data: unknown): data is { readonly target: string; readonly port: number } {
  if (typeof data !== "object" || data === null || !("target" in data) || !("port" in data)) return false;
  const { target, port } = data;
  return typeof target === "string" && target.length <= MAX_NAME && Number.isInteger(port) && Number(port) > 0;
}

/** RFC 6763 6.3 to 6.5: `key=value`, the first of a key counts, and a string without a key is none. */
function txtOf(data: unknown): ReadonlyMap<string, string> {
  const texts = (Array.isArray(data) ? data : [data]).slice(0, MAX_TXT_KEYS);
  const txt = new Map<string, string>();
  for (const text of texts) {
    const line = text instanceof Uint8Array ? Buffer.from(text).toString("utf8") : text;
    if (typeof line !== "string") continue;
    const equals = line.indexOf("=");
    const key = (equals === -1 ? line : line.slice(0, equals)).toLowerCase();
    if (key !== "" && key.length <= 64 && !txt.has(key))
      txt.set(key, equals === -1 ? "" : line.slice(equals + 1, equals + 256));
  }
  return txt;
}
