"""scripts/render: builds the default, every overlay and every combination of components, and checks them all."""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from manifests.agreement import Code, check_agreement, check_dashboard
from manifests.build import K8S, OVERLAYS, BuildError, Objects, build, build_combination, combinations
from manifests.policy import check_policy
from manifests.schemas import NEWEST, OLDEST, Schemas


def check(items: Objects, schemas: Schemas, code: Code) -> list[str]:
    """All problems of one rendered set."""
    problems = [problem for item in items for problem in schemas.check(item)]
    return problems + check_policy(items) + check_agreement(items, code)


def main(args: list[str] | None = None) -> int:
    """Entry point; 0 when nothing is wrong."""
    parser = argparse.ArgumentParser(prog="scripts/render", description=__doc__)
    parser.add_argument("folders", nargs="*", type=Path, help="check these kustomizations only, such as your overlay")
    options = parser.parse_args(args)
    began_s = time.monotonic()
    schemas, code = Schemas(), Code.read()
    jobs = [(str(folder), build, folder) for folder in options.folders]
    if not jobs:
        jobs = [(str(path), build, path) for path in (K8S, *(K8S / "overlays" / name for name in OVERLAYS))]
    sets = [] if options.folders else list(combinations())
    unlike = check_dashboard()
    for problem in unlike:
        print(problem, file=sys.stderr)
    bad, objects = len(unlike), 0

    def attempt(job: tuple[object, ...]) -> Objects | BuildError:
        builder, argument = job
        try:
            return builder(argument)  # type: ignore[operator, no-any-return]
        except BuildError as error:
            return error

    names = [name for name, _, _ in jobs] + [" + ".join(chosen) for chosen in sets]
    todo = [(builder, folder) for _, builder, folder in jobs] + [(build_combination, chosen) for chosen in sets]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, result in zip(names, pool.map(attempt, todo), strict=True):
            problems = [str(result)] if isinstance(result, BuildError) else check(result, schemas, code)
            objects += 0 if isinstance(result, BuildError) else len(result)
            bad += bool(problems)
            for problem in problems:
                print(f"{name}: {problem}", file=sys.stderr)
    seconds = time.monotonic() - began_s
    print(
        f"{len(names)} sets of manifests ({len(jobs)} folders, {len(sets)} combinations of components), {objects} "
        f"objects, Kubernetes {OLDEST} and {NEWEST} strict: {f'{bad} with problems' if bad else 'all well'} "
        f"({seconds:.0f} s)"
    )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
