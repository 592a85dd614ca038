import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { answerable, authorization, parseChallenges } from "../../../../drivers/printers/ipp/auth.ts";

const answered = (
  header: string | string[],
  login: { user: string; password: string },
  clientNonce: string,
  secure = true,
) => {
  const challenge = answerable(parseChallenges(header), secure);
  if (challenge === undefined) return undefined;
  return authorization(challenge, login, { method: "GET", target: "/dir/index.html", count: 1, clientNonce });
};
const mufasa = { user: "Mufasa", password: "Circle of Life" };

describe("the examples of the standards", () => {
  // RFC 7616 3.9.1
  const realm = "http-auth@example.org";
  const nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
  const opaque = "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS";
  const cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
  const asks = (algorithm: string) =>
    `Digest realm="${realm}", qop="auth, auth-int", algorithm=${algorithm}, nonce="${nonce}", opaque="${opaque}"`;
  const answer = (algorithm: string, response: string) =>
    `Digest username="Mufasa", realm="${realm}", uri="/dir/index.html", algorithm=${algorithm}, nonce="${nonce}", nc=00000001, cnonce="${cnonce}", qop=auth, response="${response}", opaque="${opaque}"`;
  const md5 = answer("MD5", "8ca523f5e9506fed4657c9700eebdbec");
  const sha256 = answer("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1");

  test.each([
    ["MD5", asks("MD5"), md5],
    ["SHA-256", asks("SHA-256"), sha256],
    ["both: the stronger one", [asks("MD5"), asks("SHA-256")], sha256],
    ["both in one header", `${asks("MD5")}, ${asks("SHA-256")}`, sha256],
    ["with Basic and one that nobody knows", `Basic realm="x", Negotiate, ${asks("MD5")}`, md5],
  ])("Digest with %s", (_what, header, expected) => expect(answered(header, mufasa, cnonce)).toBe(expected));

  test("Digest without an algorithm (RFC 2617 3.5), and without qop (RFC 2069 2.4 with its erratum)", () => {
    const older = 'realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"';
    const rfc2617 = answered(
      `Digest ${older}, qop="auth,auth-int"`,
      { ...mufasa, password: "Circle Of Life" },
      "0a4f113b",
    );
    expect(rfc2617).toContain('response="6629fae49393a05397450978507c4ef1"');
    expect(rfc2617).not.toContain("algorithm");
    const rfc2069 = answered(`Digest ${older}`, { ...mufasa, password: "CircleOfLife" }, "unused");
    expect(rfc2069).toContain('response="1949323746fe6a43ef61f9606e7febea"');
    expect(rfc2069).not.toMatch(/qop|nc=|cnonce/);
  });

  test("Basic (RFC 7617 2 and 2.1)", () => {
    const basic = (user: string, password: string) => answered('Basic realm="WallyWorld"', { user, password }, "");
    expect(basic("Aladdin", "open sesame")).toBe("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    expect(basic("test", "123£")).toBe("Basic dGVzdDoxMjPCow==");
  });
});

test.each([
  ['Basic realm="x"', false],
  ["Negotiate", true],
  ["", true],
  ['Digest realm="x"', true],
  ['Digest realm="x", nonce="n", algorithm=SHA-512-256', true],
  ['Digest realm="x", nonce="n", algorithm=MD5-sess, qop="auth"', true],
  ['Digest realm="x", nonce="n", qop="auth-int"', true],
])("%j on TLS %s is not answered", (header, secure) => {
  expect(answered(header, mufasa, "c", secure)).toBeUndefined();
});

test("Digest is answered without TLS too", () => {
  expect(answered('Basic realm="x", Digest realm="y", nonce="n"', mufasa, "c", false)).toMatch(/^Digest .*realm="y"/);
});

test("quotes, blanks, case and a parameter that comes twice", () => {
  const [challenge, ...more] = parseChallenges(
    ', dIGEST Realm = "a \\"b\\" \\\\c, d=e" ,nonce=n;x, nonce="two",, STALE=TRUE',
  );
  expect(more.map(({ scheme }) => scheme)).toEqual(["x"]);
  expect(challenge?.scheme).toBe("digest");
  expect(Object.fromEntries(challenge?.parameters ?? [])).toEqual({ realm: 'a "b" \\c, d=e', nonce: "n" });
});

test("what a printer sends is quoted again, so that it cannot put in a parameter of its own", () => {
  const header = answered('Digest realm="a\\", uri=\\"/b", nonce="n"', { user: 'u"v\\', password: "p" }, "c");
  expect(header).toContain('username="u\\"v\\\\", realm="a\\", uri=\\"/b", uri="/dir/index.html"');
});

test("whatever the header: no throw, few challenges, and no line end in what is sent", () => {
  const piece = fc.oneof(
    fc.constantFrom(
      "Digest ",
      "Basic ",
      "realm=",
      "nonce=",
      "qop=",
      "algorithm=",
      '"',
      "\\",
      ",",
      "=",
      " ",
      "auth",
      "MD5",
    ),
    fc.string({ unit: "binary", maxLength: 6 }).map((text) => Buffer.from(text).toString("latin1")),
  );
  const header = fc.array(piece, { maxLength: 60 }).map((pieces) => pieces.join(""));
  fc.assert(
    fc.property(fc.oneof(header, fc.array(header, { maxLength: 4 })), fc.boolean(), (asked, secure) => {
      const challenges = parseChallenges(asked);
      expect(challenges.length).toBeLessThanOrEqual(16);
      const challenge = answerable(challenges, secure);
      if (challenge === undefined) return;
      if (challenge.scheme === "basic") expect(secure).toBe(true);
      // An HTTP client takes no control characters from a header, so none can be in what it gave.
      if (/\p{Cc}/u.test(String(asked).replace(/[\x80-\x9f]/g, ""))) return;
      const use = { method: "POST", target: "/", count: 1, clientNonce: "c" };
      expect(authorization(challenge, { user: "Zoë", password: "日" }, use)).toMatch(/^[\x20-\x7e\x80-\xff]+$/);
    }),
    { numRuns: 2000 },
  );
  const long = "a=1, ".repeat(100_000);
  expect(parseChallenges(`Digest ${long}`)[0]?.parameters.size).toBe(1);
  expect(parseChallenges("x,".repeat(100_000)).length).toBe(16);
  expect(parseChallenges(`Digest realm="${'\\"'.repeat(100_000)}`)).toBeInstanceOf(Array);
});
