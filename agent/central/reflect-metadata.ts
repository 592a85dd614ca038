/**
 * The three functions of the Reflect metadata proposal that tsyringe, inside @peculiar/x509, calls. Without them
 * it throws when it is imported; a package for them would be the third dependency for one certificate.
 */
export function installReflectMetadata(): void {
  if ("getMetadata" in Reflect) return;
  const metadata = new WeakMap<object, Map<unknown, unknown>>();
  const own = (key: unknown, target: object): unknown => metadata.get(target)?.get(key);
  Object.assign(Reflect, {
    getOwnMetadata: own,
    getMetadata(key: unknown, target: object): unknown {
      for (let at: object | null = target; at !== null; at = Object.getPrototypeOf(at)) {
        const value = own(key, at);
        if (value !== undefined) return value;
      }
      return undefined;
    },
    defineMetadata(key: unknown, value: unknown, target: object): void {
      const entries = metadata.get(target) ?? new Map<unknown, unknown>();
      metadata.set(target, entries.set(key, value));
    },
  });
}
