import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { type IncomingMessage, request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { pipeline } from "node:stream/promises";

/** A bare pipe: a document from the central server over TLS, straight to the printer in chunks. It checks nothing. */
export interface PipeSettings {
  readonly url: string;
  readonly ca: string;
  readonly bearerKey: string;
  readonly token: string;
  readonly printerPort: number;
}

/** Answered when the document is claimed; then the process waits for any message, and pipes. */
export interface PipeReady {
  readonly jobId: string;
}

process.once("disconnect", () => process.exit());
process.once("message", async ({ url, ca, bearerKey, token, printerPort }: PipeSettings) => {
  const authorization = `Bearer ${bearerKey}`;
  const tap = {
    tapId: randomUUID(),
    at: new Date().toISOString(),
    reader: "front",
    printer: "mfd",
    credential: { kind: "card", token },
  };
  const asked = requestHttps(`${url}/v1/taps`, {
    method: "POST",
    ca,
    headers: { authorization, "content-type": "application/json" },
  }).end(JSON.stringify(tap));
  const [reply] = (await once(asked, "response")) as [IncomingMessage];
  const answer = JSON.parse(Buffer.concat(await reply.toArray()).toString()) as { jobs: { payload: string }[] };
  const claim: unknown = JSON.parse(Buffer.from(answer.jobs[0]?.payload ?? "", "base64url").toString());
  const { jobId, claimId } = claim as { jobId: string; claimId: string };
  process.send?.({ jobId } satisfies PipeReady);
  await once(process, "message");
  const get = requestHttps(`${url}/v1/jobs/${jobId}/document`, {
    ca,
    headers: { authorization, "printgate-claim": claimId },
  }).end();
  const [document] = (await once(get, "response")) as [IncomingMessage];
  const post = requestHttp({ method: "POST", port: printerPort, host: "127.0.0.1", path: "/raw" });
  const printed = once(post, "response");
  await pipeline(document, post);
  await printed;
  process.exit();
});
