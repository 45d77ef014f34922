"""The loaded models, and the choice of the one that a request means."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from server.errors import PROGRAM, RequestError, SetupError, nearest, shown
from server.models import ServedModel, find_models, load_model
from server.schema import Algorithm

ALL = "all"
METHODS = ("predict", "predict_proba")


def load_catalog(folder: Path, datasets: str, models: str) -> Catalog:
    """Loads what is chosen (`all`, a name, or names with commas); raises SetupError when that is nothing."""
    found = find_models(folder)
    if not found:
        raise SetupError(
            f"No models in {folder.resolve()}.",
            expected="files such as diabetic_LightGBM.txt with diabetic_LightGBM.schema.json beside it.",
            action=f"train them: {PROGRAM} train, or name another folder with --models.",
        )
    wanted_datasets = _chosen(datasets, {dataset for dataset, _ in found}, "dataset", folder)
    wanted_models = _chosen(models, {str(algorithm) for algorithm in Algorithm}, "model", folder)
    chosen = {key: files for key, files in found.items() if key[0] in wanted_datasets and key[1] in wanted_models}
    if not chosen:
        raise SetupError(
            f"No model '{models}' of dataset '{datasets}' in {folder.resolve()}.",
            expected=f"one of {_pairs(found)}.",
            action=f"train it: {PROGRAM} train --dataset {datasets} --model {models}.",
        )
    return Catalog([load_model(files) for files in chosen.values()])


class Catalog:
    """The loaded models by (dataset, model key)."""

    def __init__(self, models: Iterable[ServedModel]) -> None:
        self.models = {(model.schema.dataset, str(model.schema.algorithm)): model for model in models}

    def select(self, dataset: str | None, model: str | None) -> ServedModel:
        """The one model meant; either name may be left out when that leaves only one. Raises RequestError."""
        self._check_known("dataset", dataset, {key[0] for key in self.models})
        self._check_known("model", model, {key[1] for key in self.models})
        matching = [key for key in self.models if dataset in (None, key[0]) and model in (None, key[1])]
        if len(matching) == 1:
            return self.models[matching[0]]
        if not matching:
            raise RequestError(
                404, f"Model '{model}' of dataset '{dataset}' is not loaded; expected one of {_pairs(self.models)}."
            )
        missing = [
            f"{name}={'|'.join(choices)}"
            for name, given, choices in (
                ("dataset", dataset, sorted({key[0] for key in matching})),
                ("model", model, sorted({key[1] for key in matching})),
            )
            if given is None and len(choices) > 1
        ]
        raise RequestError(
            422,
            f"{len(matching)} loaded models fit this request; expected the query parameter"
            f"{'s' if len(missing) > 1 else ''} {' and '.join(missing)}.",
        )

    def named(self, name: str) -> ServedModel:
        """The model of a path, as `<dataset>-<model>`. Raises RequestError."""
        for (dataset, key), model in self.models.items():
            if name == f"{dataset}-{key}":
                return model
        known = sorted(f"{dataset}-{key}" for dataset, key in self.models)
        raise RequestError(404, f"Model {shown(name)} not found{nearest(name, known)}; expected {' or '.join(known)}.")

    def _check_known(self, what: str, name: str | None, known: set[str]) -> None:
        if name is not None and name not in known:
            raise RequestError(
                404,
                f"Unknown {what} '{shown(name)}'{nearest(name, known)}; expected one of {', '.join(sorted(known))}.",
            )


def check_method(method: str) -> str:
    """Raises RequestError for a method that is not one of METHODS."""
    if method not in METHODS:
        raise RequestError(
            422, f"Unknown method '{shown(method)}'{nearest(method, METHODS)}; expected {' or '.join(METHODS)}."
        )
    return method


def _chosen(text: str, known: set[str], what: str, folder: Path) -> set[str]:
    names = {name.strip() for name in text.split(",") if name.strip()}
    if not names or ALL in names:
        return known
    unknown = sorted(names - known)
    if unknown:
        raise SetupError(
            f"Unknown {what} '{unknown[0]}'{nearest(unknown[0], known)} (--{what} or the environment).",
            expected=f"{ALL} or one or more of {', '.join(sorted(known))} (found in {folder.resolve()}).",
            action=f"name one of these, or train it: {PROGRAM} train --{what} {unknown[0]}."
            if what == "dataset"
            else "name one of these.",
        )
    return names


def _pairs(keys: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{dataset}/{model}" for dataset, model in sorted(keys))
