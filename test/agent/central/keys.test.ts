import { execFile } from "node:child_process";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { chmod, mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, test } from "vitest";
import { certifiedHosts, isHost } from "../../../agent/central/certificates.ts";
import { createKeys, readKeys, renewServerCertificate } from "../../../agent/central/keys.ts";
import { createSite, openSite } from "../../../agent/central/site.ts";
import { keyPinOf } from "../../../drivers/transports/tls.ts";
import { tempFolder } from "./site-fixture.ts";

const DAY = 86_400_000;
const NOW = Date.now();
const HOSTS = ["print.example.org", "192.0.2.10", "2001:db8::10"];

let folder: string;
let keys: string;

beforeEach(async () => {
  folder = await tempFolder();
  keys = join(folder, "keys");
});

afterEach(() => rm(folder, { recursive: true }));

const certificate = async () => new X509Certificate(await readFile(join(keys, "server.crt")));

test("openssl accepts the server certificate for each of its hosts, and for no other", async () => {
  await createKeys(keys, HOSTS, NOW);
  const verify = (...args: string[]) =>
    promisify(execFile)("openssl", [
      ...["verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", join(keys, "ca.crt"), ...args],
      join(keys, "server.crt"),
    ]);
  await verify("-verify_hostname", "print.example.org");
  await verify("-verify_ip", "192.0.2.10");
  await verify("-verify_ip", "2001:db8::10");
  await expect(verify("-verify_hostname", "example.org")).rejects.toThrow();
  const leaf = await certificate();
  expect(leaf.validToDate.getTime() - leaf.validFromDate.getTime()).toBeLessThanOrEqual(365 * DAY);
});

test("all files are their owner's alone, and are refused as soon as others can read one", async () => {
  await createKeys(keys, HOSTS, NOW);
  expect((await stat(keys)).mode & 0o777).toBe(0o700);
  for (const name of await readdir(keys)) expect((await stat(join(keys, name))).mode & 0o777, name).toBe(0o600);
  await readKeys(keys);
  for (const [path, mode] of [
    [join(keys, "card.key"), 0o640],
    [join(keys, "manifest.key"), 0o604],
    [keys, 0o750],
  ] as const) {
    const before = (await stat(path)).mode;
    await chmod(path, mode);
    await expect(readKeys(keys)).rejects.toMatchObject({ code: "central-readable-by-others", detail: path });
    await chmod(path, before);
  }
});

test("the two pins are those of the server's key and of the backup key, which may be kept elsewhere", async () => {
  await createKeys(keys, HOSTS, NOW);
  await rm(join(keys, "backup.key"));
  const site = await readKeys(keys);
  expect(site.keyPins[0]).toBe(keyPinOf(await certificate()));
  expect(site.keyPins[1]).toMatch(/^sha256\//);
  expect(site.keyPins[1]).not.toBe(site.keyPins[0]);
});

test("the certificate is renewed for the same key and hosts when it ends within 30 days, not before", async () => {
  await createKeys(keys, HOSTS, NOW);
  const before = await readKeys(keys);
  expect(await renewServerCertificate(keys, NOW + 300 * DAY)).toBe(false);
  expect(await renewServerCertificate(keys, NOW + 340 * DAY)).toBe(true);
  const after = await readKeys(keys);
  expect(after.serverCertificate).not.toBe(before.serverCertificate);
  expect(after.keyPins).toEqual(before.keyPins);
  const leaf = await certificate();
  expect(certifiedHosts(leaf)).toEqual(["print.example.org", "192.0.2.10", "2001:DB8:0:0:0:0:0:10"]);
  expect(leaf.validToDate.getTime()).toBeGreaterThan(NOW + 700 * DAY);
  expect(leaf.checkPrivateKey(createPrivateKey(after.serverKey))).toBe(true);
  expect(leaf.verify(new X509Certificate(after.authority).publicKey)).toBe(true);
  expect((await stat(join(keys, "server.crt"))).mode & 0o777).toBe(0o600);
});

test.each(["server.key", "server.crt", "card.key", "manifest.key", "ca.crt", "backup.pub"])(
  "without a sound %s there is a coded error",
  async (name) => {
    await createKeys(keys, HOSTS, NOW);
    if (name.startsWith("server.key") || name === "ca.crt") await rm(join(keys, name));
    else await writeFile(join(keys, name), "no key");
    await expect(readKeys(keys)).rejects.toMatchObject({ code: "central-keys-unusable" });
  },
);

test("a site is made once, in a folder that is its owner's alone", async () => {
  const data = join(folder, "central");
  await createSite(data, HOSTS, NOW);
  await expect(createSite(data, HOSTS, NOW)).rejects.toMatchObject({ code: "central-exists" });
  expect((await readdir(data)).sort()).toEqual(["central.db", "documents", "keys", "root-keys"]);
  for (const name of ["", "documents", "keys", "root-keys"])
    expect((await stat(join(data, name))).mode & 0o777).toBe(0o700);
  await chmod(data, 0o755);
  await expect(openSite(data, Date.now())).rejects.toMatchObject({ code: "central-readable-by-others" });
  const open = join(folder, "open");
  await mkdir(open, { mode: 0o755 });
  await expect(createSite(open, HOSTS, NOW)).rejects.toMatchObject({ code: "central-readable-by-others" });
  await expect(openSite(join(folder, "nothing"), Date.now())).rejects.toMatchObject({ code: "central-missing" });
});

test("making a site that was interrupted can be done again", async () => {
  const data = join(folder, "central");
  await createSite(data, HOSTS, NOW);
  await rm(join(data, "keys"), { recursive: true });
  await expect(openSite(data, Date.now())).rejects.toMatchObject({ code: "central-missing" });
  await createSite(data, HOSTS, NOW);
  await (await openSite(data, Date.now())).store.close();
});

test("hosts are names and addresses", async () => {
  for (const good of ["localhost", "print.example.org", "192.0.2.1", "::1"]) expect(isHost(good), good).toBe(true);
  for (const bad of ["", "a b", "a,DNS:b", "-a", "a..b", "https://a", "a:1", "x".repeat(64), "*.example.org"]) {
    expect(isHost(bad), bad).toBe(false);
  }
  await expect(createSite(join(folder, "c"), ["a, DNS:b"], NOW)).rejects.toMatchObject({ code: "host-invalid" });
});
