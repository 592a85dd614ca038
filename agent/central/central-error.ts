import { type CodeTable, codedError } from "../../drivers/coded-error.ts";

export const CENTRAL_CODES = {
  "central-missing": {
    what: "There is no central server in this folder.",
    next: "Name its folder with --data, or make a new one with `printgate central init`.",
  },
  "central-exists": {
    what: "This folder already holds a central server.",
    next: "Name another folder with --data; keys that agents trust are never overwritten.",
  },
  "central-readable-by-others": {
    what: "Other users of this machine can read the central server's keys or data.",
    next: "Take their rights away: `chmod -R go-rwx` on the folder that the detail names.",
  },
  "central-keys-unusable": {
    what: "A key or certificate of the central server is missing or damaged.",
    next: "Restore the `keys` folder from its backup.",
  },
  "central-data-newer": {
    what: "The database was written by a newer version.",
    next: "Run that version, or restore the database from before the update.",
  },
  "central-data-unusable": {
    what: "The database cannot be read or written.",
    next: "Check the disk and the owner of the folder; restore the database from its backup if it is damaged.",
  },
  "central-listen-failed": {
    what: "The central server cannot listen on this address.",
    next: "Choose a free address with --listen, or stop what listens there.",
  },
  "host-invalid": {
    what: "This is neither a host name nor an IP address.",
    next: "Give --host names such as print.example.org or addresses such as 192.0.2.10.",
  },
  "name-invalid": {
    what: "This name cannot be used.",
    next: "Users: 1 to 255 characters without control characters. Agents: lower-case letters, digits and . _ - (at most 63).",
  },
  "user-exists": { what: "There is a user of this name.", next: "Choose another name." },
  "user-unknown": { what: "There is no user of this name.", next: "Add the user with `printgate central user add`." },
  "card-taken": {
    what: "This card belongs to a user already.",
    next: "Remove it there first with `printgate central card remove`.",
  },
  "card-unknown": {
    what: "This card belongs to nobody.",
    next: "Check the number; it must be the canonical card number that `printgate card convert` prints.",
  },
  "card-number-invalid": {
    what: "This is no card number.",
    next: "Give 1 to 255 characters without control characters, as `printgate card convert` prints them.",
  },
  "pin-invalid": {
    what: "This is no PIN.",
    next: "Give 4 to 16 digits, or have one made with --generate.",
  },
  "pin-none": { what: "This user has no PIN.", next: "Nothing: a PIN is set with `printgate central user set-pin`." },
  "id-invalid": { what: "This is no number of a person.", next: "Give 1 to 16 digits." },
  "id-taken": {
    what: "This number belongs to another user.",
    next: "Choose another, or take it there first with `printgate central user clear-id`.",
  },
  "agent-exists": {
    what: "There is an agent of this name.",
    next: "Choose another name, or give that agent the new device's keys with --replace.",
  },
  "agent-unknown": { what: "There is no agent of this name.", next: "`printgate central agent list` shows them all." },
  "claim-invalid": {
    what: "This is no claim code.",
    next: "Type the ten symbols that `printgate enrol` shows, such as 7K2QD-M9XAB.",
  },
  "claim-unknown": {
    what: "No request fits this claim code: it is mistyped, older than 15 minutes, used already, or somebody between agent and server changed the request.",
    next: "Look at `printgate central agent requests`; if the agent waits there, run `printgate enrol` on it again, in a network that you trust.",
  },
  "claim-ambiguous": {
    what: "Two requests know this claim code, so somebody else has seen it; both were dropped.",
    next: "Run `printgate enrol` on the agent again, and show its code to nobody.",
  },
  "fingerprint-different": {
    what: "The fingerprint is not the one that the agent shows; nothing was approved.",
    next: "Somebody may be between agent and server: run `printgate enrol` again in a network that you trust, or with --ca and --key-pin.",
  },
  "job-unknown": { what: "There is no job of this id.", next: "`printgate central job list` shows them all." },
  "job-not-doubtful": {
    what: "Nobody has to decide about this job: it is held, being printed, or ended.",
    next: "Decide only about jobs that `printgate central job list` shows as unsettled or in doubt.",
  },
  "job-expired": {
    what: "The job's time is over and its document is gone.",
    next: "Decide `printed`, or have its owner submit it again.",
  },
  "ticket-invalid": {
    what: "The job's ticket asks for what no ticket can.",
    next: "Correct the option that the detail names; `printgate central --help` says what each takes.",
  },
  "job-password-invalid": {
    what: "This is no job-password.",
    next: "Give 1 to 255 characters of ASCII; most printers take digits only, and few of them.",
  },
  "document-unreadable": { what: "The document cannot be read.", next: "Check the file's name and rights." },
  "document-size": {
    what: "The document is empty, or larger than the central server takes.",
    next: "Submit a document of 1 byte to 8 GiB.",
  },
  "policy-file-invalid": {
    what: "The file is no policy.",
    next: "Correct what the detail names; `printgate central policy example` shows every key.",
  },
  "policy-unusable": {
    what: "The policy in the database cannot be used.",
    next: "Restore the database from its backup, or publish anew with `printgate central policy publish`.",
  },
  "policy-key-outdated": {
    what: "The newest root document does not name the policy key in the `keys` folder.",
    next: "Restore the `keys` folder from after the rotation, or rotate once more with `printgate central policy rotate`.",
  },
  "root-keys-unusable": {
    what: "A folder of root keys cannot be read, or holds something else.",
    next: "Name the folder that holds root-1.key and so on.",
  },
  "root-keys-missing": {
    what: "These are too few of the current root keys to sign the next root document.",
    next: "Name every folder that holds some of them; --root may be given more than once.",
  },
  "root-not-next": {
    what: "The root was rotated by somebody else meanwhile.",
    next: "Look at `printgate central policy show`, then decide whether to rotate once more.",
  },
  "format-unknown": {
    what: "The document's format cannot be told from its first bytes.",
    next: "Name it with --format, for example --format application/pdf.",
  },
} as const satisfies CodeTable;

export class CentralError extends codedError(CENTRAL_CODES) {}
