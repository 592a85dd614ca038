import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

export interface PrinterLogin {
  readonly user: string;
  readonly password: string;
}

/** Mounts are root's, of the machine or of a user namespace. */
const AS_ROOT = process.getuid?.() === 0 ? [] : ["--map-root-user"];

/** A place in which PAM knows just one user: the service `cups` asks a script of ours, and the machine's accounts are not asked. */
export class PamRoom {
  /** Put before a program and its arguments, they run it there, as the same process. */
  readonly words: readonly string[];

  static async make(folder: string, { user, password }: PrinterLogin): Promise<PamRoom> {
    const services = join(folder, "pam.d");
    await mkdir(services);
    const judge = join(folder, "judge");
    // pam_exec gives the password with a NUL at its end.
    const judgement = `[ "$PAM_USER:$(tr -d '\\000')" = '${user}:${password}' ]`;
    await writeFile(judge, `#!/bin/sh\n${judgement}\n`, { mode: 0o755 });
    const service = `auth required pam_exec.so expose_authtok quiet ${judge}\naccount required pam_permit.so\n`;
    for (const name of ["cups", "other"]) await writeFile(join(services, name), service);
    return new PamRoom(services);
  }

  private constructor(services: string) {
    const enter = 'mount --bind "$0" /etc/pam.d && exec "$@"';
    this.words = ["unshare", ...AS_ROOT, "--mount", "sh", "-c", enter, services];
  }
}
