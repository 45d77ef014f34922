"""`python -m server.train`: makes the splits, trains the models and prints the table of metrics."""

from __future__ import annotations

import argparse
import os
import sys
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from server.errors import PROGRAM, SetupError
from server.models import ModelFiles, find_models, load_schema
from server.schema import Algorithm, ColumnKind
from server.train.datasets import RECIPES
from server.train.fit import fit
from server.train.frames import column_kind
from server.train.metrics import Trained, merge_metrics, table
from server.train.splits import Splits, make_splits, read_splits, write_splits
from server.train.tables import read_table

_BAD_SETUP = 2
_MANY_CATEGORIES = 1_000
_FEWEST_ROWS = 50
_TEST_SIZE = 0.2


def main(arguments: Sequence[str] | None = None) -> int:
    """Trains what the options ask for; the return value is the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    # Threads that spin while they wait take the core from those they wait for: beside other work 25 s instead of 120 s
    # for two XGBoost models (`train --dataset healthcare-dataset-stroke,diabetic --model xgboost`, two cores).
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        _check(options)
        _check_writable(options.results)
        return _train(options)
    except SetupError as error:
        print(error, file=sys.stderr)
        return _BAD_SETUP


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"{PROGRAM} train",
        description="Make train/test splits (parquet) and train CatBoost, LightGBM and XGBoost on them. "
        "Without --data the rows are SYNTHETIC: generated, seeded data of four published schemas.",
        epilog="Writes DIR/splits/<dataset>/{X,y}_{train,test}.parquet, DIR/models/<dataset>_<Algo>.* and "
        f"DIR/metrics/all_metrics.csv. Example with a real file: {PROGRAM} train "
        "--data healthcare-dataset-stroke-data.csv --target stroke --drop-cols id --positive-label 1",
    )
    parser.add_argument(
        "--dataset",
        action="append",
        metavar="D",
        help=f"one of {', '.join(RECIPES)}; several with commas or by repeating (default: all)",
    )
    parser.add_argument(
        "--model",
        action="append",
        metavar="M",
        help=f"{', '.join(Algorithm)}; several with commas or by repeating (default: all)",
    )
    parser.add_argument(
        "--rows",
        type=_row_count,
        metavar="N",
        help="rows to generate per dataset, 50 or more (default: 5,110 to 16,000)",
    )
    parser.add_argument("--seed", type=int, default=42, help="same seed, same data and models (%(default)s)")
    parser.add_argument("--if-missing", action="store_true", help="keep splits and models that are there already")
    parser.add_argument(
        "--results",
        type=Path,
        default=Path(os.environ.get("SWARM_RESULTS") or "experiment-results"),
        metavar="DIR",
        help="folder that everything is written to (%(default)s)",
    )
    _add_real_data(parser)
    return parser


def _add_real_data(parser: argparse.ArgumentParser) -> None:
    real = parser.add_argument_group("real data")
    real.add_argument("--data", type=Path, metavar="FILE", help="CSV or parquet file to train on instead")
    real.add_argument("--target", metavar="COLUMN", help="the column to predict (2 to 50 classes)")
    real.add_argument("--drop-cols", default="", metavar="A,B", help="columns that are not features: ids, leaks")
    real.add_argument(
        "--positive-label",
        metavar="V",
        help="the class whose probability comes last; with more than two classes it is predicted against all "
        "others, as 1 and 0",
    )
    real.add_argument(
        "--test-size", type=_share, default=_TEST_SIZE, metavar="F", help="share of test rows (%(default)s)"
    )
    real.add_argument("--name", metavar="DATASET", help="name of the dataset (default: the file's name)")


def _row_count(text: str) -> int:
    number = text.replace(",", "").replace("_", "")
    if not number.isdecimal() or int(number) < _FEWEST_ROWS:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of rows; expected at least {_FEWEST_ROWS}")
    return int(number)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a share; expected a number between 0 and 1, such as 0.2")
    return share


def _check(options: argparse.Namespace) -> None:
    if options.data is None:
        for option in ("target", "drop_cols", "positive_label", "name"):
            if getattr(options, option):
                raise SetupError(
                    f"--{option.replace('_', '-')} is given without --data.",
                    expected="--data FILE together with it; the generated datasets have their own.",
                    action="name the file, or leave the option out.",
                )
        return
    if options.target is None:
        raise SetupError(
            f"--data {options.data} is given without --target.",
            expected="the name of the column to predict.",
            action="add --target COLUMN.",
        )
    for option in ("dataset", "rows"):
        if getattr(options, option):
            raise SetupError(
                f"--{option} and --data exclude each other.",
                expected="--dataset and --rows for generated data, --data and --name for a file.",
                action=f"leave --{option} out.",
            )


def _check_writable(results: Path) -> None:
    """Check the nearest existing part of the path, since the rest is made below it."""
    nearest = results.absolute()
    while not os.path.lexists(nearest):
        nearest = nearest.parent
    if not (nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)):
        raise SetupError(
            f"Nothing can be written to {results}: {nearest} is {'read-only' if nearest.is_dir() else 'not a folder'}.",
            expected="a folder that can be written, or made (--results).",
            action="name another with --results DIR, or open this one.",
        )


def _choose(given: list[str] | None, known: Sequence[str], option: str) -> list[str]:
    names = [name.strip() for text in given or [] for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in known and name != "all"]
    if unknown:
        raise SetupError(
            f"Unknown {option} '{unknown[0]}'.",
            expected=f"all or one or more of {', '.join(known)}.",
            action=f"correct {option}." + (" A real file is given with --data." if option == "--dataset" else ""),
        )
    return list(known) if not names or "all" in names else list(dict.fromkeys(names))


def _train(options: argparse.Namespace) -> int:
    algorithms = [Algorithm(name) for name in _choose(options.model, [*Algorithm], "--model")]
    jobs = _file_job(options) if options.data else _generated_jobs(options)
    present = find_models(options.results / "models") if options.if_missing else {}
    folders = {name: options.results / "splits" / name for name in jobs}
    kept = {
        name: read_splits(folders[name], name, options.target, positive) if options.if_missing else None
        for name, (positive, _) in jobs.items()
    }
    wanted = {
        name: [one for one in algorithms if not _is_trained_on(present.get((name, one)), kept[name])] for name in jobs
    }
    total = sum(map(len, wanted.values()))
    started = time.perf_counter()
    trained: list[Trained] = []
    for name, (_, make) in jobs.items():
        folder, splits = folders[name], kept[name]
        if splits is None:
            splits = make()
            write_splits(folder, splits)
            print(f"{folder}: {len(splits.x_train):,} train and {len(splits.x_test):,} test rows, {splits.source}")
            _warn_about_identities(splits)
        for algorithm in wanted[name]:
            one = fit(splits, algorithm, options.results / "models", options.seed)
            trained.append(one)
            print(
                f"[{len(trained):2}/{total}] {name} {algorithm}: ROC AUC {one.scores.roc_auc:.3f}, "
                f"accuracy {one.scores.accuracy:.3f}, {one.train_s:.1f} s -> {one.path}",
                flush=True,
            )
    if not trained:
        print(f"Nothing to train: all {len(jobs) * len(algorithms)} models are in {options.results / 'models'}.")
        return 0
    metrics_path = options.results / "metrics" / "all_metrics.csv"
    rows = merge_metrics(metrics_path, trained)
    print(f"\n{table(rows)}\n\n{total} models in {time.perf_counter() - started:.1f} s; metrics in {metrics_path}")
    return 0


def _is_trained_on(files: ModelFiles | None, splits: Splits | None) -> bool:
    """Whether a model is there and of these splits: the training rows of another may be among their test rows."""
    if files is None or splits is None:
        return False
    try:
        return load_schema(files.schema).source == splits.source
    except SetupError:
        return False


def _generated_jobs(options: argparse.Namespace) -> dict[str, tuple[str | None, Callable[[], Splits]]]:
    def make(name: str) -> Splits:
        recipe = RECIPES[name]
        rows = options.rows or recipe.default_rows
        # A dataset's rows do not depend on which others are made with it.
        rng = np.random.default_rng([options.seed, zlib.crc32(name.encode())])
        return make_splits(
            recipe.generate(rows, rng),
            dataset=name,
            target=recipe.target,
            drop=recipe.drop,
            positive=recipe.positive,
            test_size=options.test_size,
            seed=options.seed,
            source=f"synthetic, {rows:,} rows, {_how(options)}",
        )

    names = _choose(options.dataset, list(RECIPES), "--dataset")
    return {name: (RECIPES[name].positive, lambda name=name: make(name)) for name in names}  # type: ignore[misc]


def _how(options: argparse.Namespace) -> str:
    """Return what decides which rows are test rows."""
    share = "" if options.test_size == _TEST_SIZE else f", {options.test_size:g} of them to test with"
    return f"seed {options.seed}{share}"


def _file_job(options: argparse.Namespace) -> dict[str, tuple[str | None, Callable[[], Splits]]]:
    name = options.name or options.data.stem
    if not name or name.startswith(".") or any(character in name for character in "/\\,&?#%") or name == "all":
        raise SetupError(
            f"'{name}' cannot be the name of a dataset.",
            expected="a name that can be a folder and a query parameter, without / \\ , & ? # %, and not 'all'.",
            action="give another with --name.",
        )

    def make() -> Splits:
        return make_splits(
            read_table(options.data),
            dataset=name,
            target=options.target,
            drop=tuple(column.strip() for column in options.drop_cols.split(",") if column.strip()),
            positive=options.positive_label,
            test_size=options.test_size,
            seed=options.seed,
            source=f"file {options.data.name}, {_how(options)}",
        )

    return {name: (options.positive_label, make)}


def _warn_about_identities(splits: Splits) -> None:
    rows = len(splits.x_train)
    for name in splits.x_train.columns:
        column = splits.x_train[name]
        kind = column_kind(column)
        different = column.nunique()
        if kind is ColumnKind.CATEGORY and different > max(_MANY_CATEGORIES, rows // 2):
            print(
                f"Note: column '{name}' has {different:,} different strings in {rows:,} rows. "
                f"If it names a row or a person, leave it out: --drop-cols {name}",
                file=sys.stderr,
            )
        elif kind is ColumnKind.INTEGER and different == rows and name.lower() in ("id", "index", "unnamed: 0"):
            print(
                f"Note: column '{name}' looks like a row number; leave it out with --drop-cols {name}",
                file=sys.stderr,
            )


if __name__ == "__main__":
    sys.exit(main())
