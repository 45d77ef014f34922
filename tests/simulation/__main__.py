"""`python -m tests.simulation --schedules 1000000`: any number of schedules; `--seed N` replays one with its trace."""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import sys
import time

from tests.simulation.faults import FAULTS, put_back
from tests.simulation.world import World


def try_seed(seed: int) -> str:
    """What is wrong, or nothing."""
    try:
        World(seed).run()
    except Exception as error:
        return f"seed {seed}: {type(error).__name__}: {error}"
    return ""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--schedules", type=int, default=5000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="replay one seed with its trace")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--fault", choices=sorted(FAULTS), help="with this fault put back, which must be found")
    parser.add_argument("--most", type=int, default=5, help="stop after this many failing seeds")
    args = parser.parse_args()
    if args.seed is not None:
        World(args.seed, print).run()
        return 0
    if args.fault:
        with put_back(args.fault):
            problem = next(filter(None, map(try_seed, range(args.first, args.first + args.schedules))), "")
        print(problem or "not found")
        return 0 if problem else 1
    began_s, failed, done = time.monotonic(), 0, 0
    seeds = range(args.first, args.first + args.schedules)
    with multiprocessing.Pool(args.processes, gc.disable, maxtasksperchild=40) as pool:
        for problem in pool.imap_unordered(try_seed, seeds, chunksize=50):
            done += 1
            if problem:
                failed += 1
                print(problem, flush=True)
                if failed >= args.most:
                    pool.terminate()
                    break
            if done % 50000 == 0:
                print(f"{done:,} schedules, {time.monotonic() - began_s:.0f} s", flush=True)
    print(f"{done:,} schedules, {failed} failed, {time.monotonic() - began_s:.1f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
