import fc from "fast-check";
import { expect, test } from "vitest";
import { GatheredBytes } from "../../../drivers/transports/gathered-bytes.ts";

test("however a reply is cut, it is the same; nothing beyond the cap is kept", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 40 }), fc.nat(600), (pieces, cap) => {
      const gathered = new GatheredBytes(cap);
      const whole = Buffer.concat(pieces);
      let fits = true;
      for (const piece of pieces) fits &&= gathered.add(Buffer.from(piece));
      expect(fits).toBe(whole.length <= cap);
      if (fits) expect(gathered.bytes.equals(whole)).toBe(true);
      expect(gathered.bytes.length).toBeLessThanOrEqual(cap);
    }),
  );
});
