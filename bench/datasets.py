#!/usr/bin/env python3
"""Makes the data sets of the benchmark, always the same ones.

Each set is a folder below --dir, with a note beside it (`small.json`) that is written last: a set whose note
says what was asked for is reused, any other is made anew. The bytes come from one seeded random block, read
from another offset for each file and stamped with the file's number, so that no two files are alike and
nothing compresses or deduplicates.

    bench/datasets.py --dir /tmp/bench-data small medium
"""

import argparse
import json
import os
import random
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

FORMAT = 1
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
BLOCK_BYTES = 64 * MIB


@dataclass(frozen=True)
class DataSet:
    """A folder of `files` files, `per_folder` in each of its folders."""

    name: str
    files: int
    per_folder: int
    bytes: int
    spread: float = 0.0
    """Sigma of a log-normal distribution of the sizes; 0: all of one size."""

    def sizes(self) -> list[int]:
        """The files' sizes in order; their sum is `bytes` exactly."""
        if not self.spread:
            assert self.bytes % self.files == 0
            return [self.bytes // self.files] * self.files
        draw = random.Random(f"{self.name} sizes")
        weights = [draw.lognormvariate(0.0, self.spread) for _ in range(self.files)]
        scale = self.bytes / sum(weights)
        sizes = [int(weight * scale) for weight in weights]
        # What rounding took goes to the largest file, where it shows least.
        sizes[sizes.index(max(sizes))] += self.bytes - sum(sizes)
        return sizes

    def paths(self) -> Iterator[str]:
        """The files' paths in order, relative to the set's folder."""
        for index in range(self.files):
            folder, number = divmod(index, self.per_folder)
            yield f"d{folder:04}/f{number:05}.bin"

    def bytes_on_disk(self) -> int:
        """A little more than what `du` will say."""
        return self.bytes + self.files * 4 * KIB


SETS = {
    data_set.name: data_set
    for data_set in (
        DataSet("small", files=20_000, per_folder=200, bytes=20_000 * 4 * KIB),
        # Long enough for a fleet that starting it does not count.
        DataSet("small-200k", files=200_000, per_folder=200, bytes=200_000 * 4 * KIB),
        DataSet("small-1m", files=1_000_000, per_folder=1_000, bytes=1_000_000 * 4 * KIB),
        DataSet("medium", files=2_000, per_folder=100, bytes=2_000 * 512 * KIB),
        DataSet("large", files=4, per_folder=4, bytes=4 * GIB),
        # The first job of the original s3-bucket-loader: 35,000 files, 11 GB.
        DataSet("seed", files=35_000, per_folder=100, bytes=11_000_000_000, spread=1.6),
        DataSet("crawl-100k", files=100_000, per_folder=1_000, bytes=0),
        DataSet("crawl-1m", files=1_000_000, per_folder=1_000, bytes=0),
        # Small enough to try the runner itself.
        DataSet("tiny", files=500, per_folder=100, bytes=500 * 4 * KIB),
        DataSet("quick-medium", files=200, per_folder=100, bytes=200 * 512 * KIB),
        DataSet("quick-large", files=2, per_folder=2, bytes=256 * MIB),
        DataSet("quick-seed", files=2_000, per_folder=100, bytes=600_000_000, spread=1.6),
    )
}


class Filler:
    """Writes incompressible files out of one random block."""

    def __init__(self, name: str) -> None:
        self._block = memoryview(random.Random(f"{name} block").randbytes(BLOCK_BYTES))

    def write(self, path: Path, index: int, size: int) -> None:
        with open(path, "wb", buffering=0) as file:
            written = 0
            # An odd stride visits every offset of the block before one comes back.
            offset = index * 1_000_003 % BLOCK_BYTES
            while written < size:
                stamp = f"{index:08x}{written:016x}".encode()
                piece = self._block[offset : offset + size - written]
                head = stamp[: min(len(stamp), len(piece))]
                written += write_all(file, [head, piece[len(head) :]])
                offset = (offset + 7_368_787) % BLOCK_BYTES


def write_all(file, pieces: list[memoryview | bytes]) -> int:
    """Writes the pieces and answers how many bytes that were; a short write is finished."""
    total = 0
    for piece in pieces:
        view = memoryview(piece)
        while view:
            count = file.write(view)
            total += count
            view = view[count:]
    return total


def make(data_set: DataSet, root: Path, free_min: int = 30 * GIB) -> Path:
    """Answers the set's folder, made now unless it is there."""
    folder, note = root / data_set.name, root / f"{data_set.name}.json"
    wanted = {"format": FORMAT, **asdict(data_set)}
    if note.exists() and json.loads(note.read_text()) == wanted:
        return folder
    note.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    root.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(root).free - data_set.bytes_on_disk() < free_min:
        sys.exit(f"{root}: making `{data_set.name}` would leave less than {free_min >> 30} GiB free")
    fill(data_set, folder)
    note.write_text(json.dumps(wanted, indent=1) + "\n")
    return folder


def fill(data_set: DataSet, folder: Path) -> None:
    filler = Filler(data_set.name) if data_set.bytes else None
    last = ""
    for index, (name, size) in enumerate(zip(data_set.paths(), data_set.sizes(), strict=True)):
        path = folder / name
        if (parent := os.path.dirname(name)) != last:
            path.parent.mkdir(parents=True)
            last = parent
        if filler and size:
            filler.write(path, index, size)
        else:
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dir", type=Path, default=Path("/tmp/bench-data"), help="where the sets are kept")
    parser.add_argument("--free-min", type=int, default=30, metavar="GIB", help="disk space to leave alone")
    parser.add_argument("sets", nargs="+", choices=[*SETS, "all"], metavar="SET", help=f"{', '.join(SETS)} or all")
    args = parser.parse_args()
    names = SETS if "all" in args.sets else args.sets
    for name in names:
        print(make(SETS[name], args.dir, args.free_min * GIB), flush=True)


if __name__ == "__main__":
    main()
