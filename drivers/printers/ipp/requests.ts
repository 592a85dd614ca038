import { integer, nameText, operationGroup, uri } from "./attributes.ts";
import type { IppClient } from "./client.ts";
import type { IppAttribute, IppGroup, IppMessage } from "./message.ts";
import { type AppliedQuirks, userName } from "./quirks.ts";
import { STATUS } from "./tags.ts";

/** Requests to one printer, in a person's name. */
export class Requests {
  readonly #client: IppClient;
  readonly #uri: string;
  readonly #nobody: string;
  readonly #quirks: AppliedQuirks;

  /** `nobody` is the requesting-user-name where no person's is known. */
  constructor(client: IppClient, printerUri: string, nobody: string, quirks: AppliedQuirks) {
    this.#client = client;
    this.#uri = printerUri;
    this.#nobody = nobody;
    this.#quirks = quirks;
  }

  /**
   * One without a document. Where the person's name may be the trouble, it is asked again with a plainer one.
   * `repeatable` as for `IppClient.call`; `more` are the groups after the operation's.
   */
  readonly ask = async (
    operation: number,
    user: string,
    jobId: number | undefined,
    attributes: readonly IppAttribute[],
    repeatable: boolean,
    signal: AbortSignal,
    more: readonly IppGroup[] = [],
  ): Promise<IppMessage> => {
    const ask = () =>
      this.#client.call(operation, [this.group(user, jobId, ...attributes), ...more], repeatable, signal);
    const reply = await ask();
    const refused = reply.code === STATUS.badRequest || reply.code === STATUS.internalError;
    if (!refused || this.#quirks.has("plain-user-names") || userName(user, true) === userName(user, false))
      return reply;
    this.#quirks.met("plain-user-names");
    // After an internal error there may be a job all the same; whoever asks for one looks for it first, the next time.
    return repeatable || reply.code === STATUS.badRequest ? ask() : reply;
  };

  /** RFC 8011 4.1.5: the target (printer-uri, and job-id if one is given) comes right after charset and language. */
  group(user: string, jobId: number | undefined, ...rest: readonly IppAttribute[]): IppGroup {
    const id = jobId === undefined ? [] : [integer("job-id", jobId)];
    const name = userName(user === "" ? this.#nobody : user, this.#quirks.has("plain-user-names"));
    return operationGroup(uri("printer-uri", this.#uri), ...id, nameText("requesting-user-name", name), ...rest);
  }
}
