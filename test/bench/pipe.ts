import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { type IncomingMessage, request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { pipeline } from "node:stream/promises";
import { BOOT_HEADER } from "../../agent/protocol/paths.ts";
import type { BareTls } from "./bed.ts";

/** A bare pipe: a document from the central server over TLS, straight to the printer in chunks. It checks nothing. */
export interface PipeSettings {
  readonly url: string;
  readonly tls: BareTls;
  readonly token: string;
  readonly printerPort: number;
}

/** Answered when the document is claimed; then the process waits for any message, and pipes. */
export interface PipeReady {
  readonly jobId: string;
}

process.once("disconnect", () => process.exit());
process.once("message", async ({ url, tls, token, printerPort }: PipeSettings) => {
  const own = { [BOOT_HEADER]: tls.boot };
  const tap = {
    tapId: randomUUID(),
    at: new Date().toISOString(),
    reader: "front",
    printer: "mfd",
    credential: { kind: "card", token },
  };
  const asked = requestHttps(`${url}/v1/taps`, {
    method: "POST",
    ...tls,
    headers: { ...own, "content-type": "application/json" },
  }).end(JSON.stringify(tap));
  const [reply] = (await once(asked, "response")) as [IncomingMessage];
  const answer = JSON.parse(Buffer.concat(await reply.toArray()).toString()) as { jobs: { payload: string }[] };
  const claim: unknown = JSON.parse(Buffer.from(answer.jobs[0]?.payload ?? "", "base64url").toString());
  const { jobId, claimId } = claim as { jobId: string; claimId: string };
  process.send?.({ jobId } satisfies PipeReady);
  await once(process, "message");
  const get = requestHttps(`${url}/v1/jobs/${jobId}/document`, {
    ...tls,
    headers: { ...own, "printgate-claim": claimId },
  }).end();
  const [document] = (await once(get, "response")) as [IncomingMessage];
  const post = requestHttp({ method: "POST", port: printerPort, host: "127.0.0.1", path: "/raw" });
  const printed = once(post, "response");
  await pipeline(document, post);
  await printed;
  process.exit();
});
