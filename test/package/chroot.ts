import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { debianRoot } from "../../build/debian-root.ts";

export interface Ended {
  readonly code: number;
  readonly output: string;
}

const MOUNTS = `
mount -t overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" overlay "$2/root"
mount -t proc proc "$2/root/proc"
mount --rbind /dev "$2/root/dev"
mkdir -p "$2/root/packages"
mount --bind "$3" "$2/root/packages"
root=$2/root
shift 3
exec chroot "$root" "$@"`;

/**
 * A small Debian in which packages are installed and removed. Each command sees it through mounts of its own, which are gone
 * with it; what it changed stays until `remove`.
 */
export class Chroot {
  readonly #lower: string;
  readonly #folder: string;
  readonly #packages: string;

  /** `packages`: a folder that is `/packages` inside. */
  static async create(packages: string): Promise<Chroot> {
    const lower = await debianRoot({
      architecture: "amd64",
      variant: "minbase",
      packages: [
        ...["systemd", "systemd-sysv", "udev", "dbus", "kmod", "iproute2"],
        ...["libatomic1", "libusb-1.0-0", "libsystemd0", "libpcsclite1"],
      ],
    });
    const folder = await mkdtemp(join(tmpdir(), "printgate-chroot-"));
    for (const name of ["upper", "work", "root"]) await mkdir(join(folder, name));
    return new Chroot(lower, folder, packages);
  }

  private constructor(lower: string, folder: string, packages: string) {
    this.#lower = lower;
    this.#folder = folder;
    this.#packages = packages;
  }

  /** Runs a shell script inside as root, or as another user. */
  run(script: string, user?: string): Promise<Ended> {
    const as = user === undefined ? [] : ["setpriv", `--reuid=${user}`, `--regid=${user}`, "--init-groups"];
    const inside = [...as, "/bin/sh", "-ec", script];
    const places = [this.#lower, this.#folder, this.#packages];
    const args = ["--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", MOUNTS, "sh", ...places, ...inside];
    const env = {
      PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
      HOME: "/",
      DEBIAN_FRONTEND: "noninteractive",
      LC_ALL: "C.UTF-8",
    };
    return new Promise((resolve, reject) => {
      execFile("unshare", args, { env, timeout: 240_000 }, (error, stdout, stderr) => {
        const code = error === null ? 0 : error.code;
        if (typeof code === "number") resolve({ code, output: `${stdout}${stderr}` });
        else reject(error);
      });
    });
  }

  async remove(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }
}
