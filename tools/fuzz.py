"""Builds the fuzz targets with clang, libFuzzer, ASan and UBSan, and runs each for a while.

    tools/fuzz.py [--seconds 60] [--jobs 2] [name...]

Seeds are read from fuzz/corpus/<name>/; what a run finds goes to build/fuzz-corpus/<name>/,
a crashing input to build/fuzz-crashes/<name>-*. Exits 1 if a target fails or there is none.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import builds
from builds import BUILD, ROOT

# Memory one target may hold, MiB: a codec that needs more than this grows without bound.
_MEMORY_MB = 1024


def _run(target: Path, seconds: int) -> tuple[str, bool, str]:
    """Runs one target; its name, whether it survived, and its last lines."""
    name = target.name.removeprefix("fuzz_")
    found = BUILD / "fuzz-corpus" / name
    crashes = BUILD / "fuzz-crashes"
    for folder in (found, crashes):
        folder.mkdir(parents=True, exist_ok=True)
    seeds = ROOT / "fuzz" / "corpus" / name
    done = subprocess.run(
        [
            str(target),
            f"-max_total_time={seconds}",
            f"-rss_limit_mb={_MEMORY_MB}",
            "-timeout=10",
            f"-artifact_prefix={crashes}/{name}-",
            "-print_final_stats=1",
            str(found),
            *([str(seeds)] if seeds.is_dir() else []),
        ],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=seconds * 3 + 120,
    )
    lines = done.stdout.splitlines()
    if done.returncode == 0:
        units = [line.split()[-1] for line in lines if "number_of_executed_units" in line]
        return name, bool(units) and int(units[0]) > 0, f"{''.join(units)} inputs"
    return name, False, "\n".join(lines[-60:])


def main() -> int:
    parser = argparse.ArgumentParser(description="Runs the fuzz targets.")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("names", nargs="*", help="targets, all of them if none is named")
    chosen = parser.parse_args()
    try:
        folder = builds.make("fuzz", Path(sys.executable).parent)
    except subprocess.CalledProcessError as error:
        print(f"the fuzz targets do not build: {error}", file=sys.stderr)
        return 1
    targets = sorted(p for p in (folder / "fuzz").glob("fuzz_*") if p.is_file())
    if chosen.names:
        wanted = {f"fuzz_{name}" for name in chosen.names}
        targets = [target for target in targets if target.name in wanted]
    failed = 0
    with ThreadPoolExecutor(chosen.jobs) as pool:
        for name, ok, text in pool.map(lambda target: _run(target, chosen.seconds), targets):
            failed += not ok
            print(f"{'ok  ' if ok else 'FAIL'} {name} ({chosen.seconds} s) {text}", flush=True)
    print(f"{len(targets) - failed} passed, {failed} failed")
    return 0 if targets and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
