"""The files of answers on the master: expected ones are read with the data, recorded ones written after a run."""

from __future__ import annotations

import logging
from pathlib import Path

from inference_swarm.config.settings import Settings
from inference_swarm.data.answers_file import About, about_of, with_answers, write_answers
from inference_swarm.data.locate import read_source
from inference_swarm.data.manifest import Manifest
from inference_swarm.errors import SettingProblem
from inference_swarm.measure.recorded import RecordedAnswers
from inference_swarm.run.course import RunCourse
from inference_swarm.run.plan import RunPlan

logger = logging.getLogger(__name__)


def read_rows(plan: RunPlan) -> Manifest:
    """Return the manifest with the expected answers, if there are any. May take a while. Raises SwarmError."""
    manifest = read_source(plan.source)
    if not plan.source.answers:
        return manifest
    return with_answers(manifest, plan.source.answers, about_of(plan.settings, manifest))


def check_record_file(settings: Settings) -> None:
    """Raises SettingProblem for a file that could not be written at the end. Makes its folder."""
    if not settings.record_answers:
        return
    path = Path(settings.record_answers)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError("it is a folder")
        beside = path.with_name(f".{path.name}.try")
        beside.touch()
        beside.unlink()
    except OSError as error:
        why = error.strerror or str(error)
        raise SettingProblem(
            f"--record-answers {path} cannot be written: {why}", expected="a file in a folder that can be written"
        ) from error


class AnswerRecording:
    """The answers of one run that are recorded."""

    def __init__(self, settings: Settings, manifest: Manifest) -> None:
        self._path = Path(settings.record_answers) if settings.record_answers else None
        self._about: About = about_of(settings, manifest)
        self._answers = RecordedAnswers(manifest.rows if self._path else 0)

    def add(self, packed: bytes) -> None:
        """Add the answers of one report."""
        if self._path is not None and packed:
            self._answers.add(packed)

    def write(self, course: RunCourse) -> None:
        """Write the file if every row was sent. May take a while; what goes wrong is logged, and fails the run."""
        rows, known = len(self._answers.answers), self._answers.known
        if self._path is None:
            return
        if course.once is None or course.once.never_sent or course.once.maybe_sent or not known:
            course.answers_unwritten = f"{rows - known:,} of {rows:,} rows have no answer, and not every row was sent"
            if not known:
                course.answers_unwritten = "no row was answered"
            return
        try:
            write_answers(self._path, self._about, self._answers.answers)
        except OSError as error:
            course.answers_unwritten = f"{self._path} cannot be written: {error.strerror or error}"
            return
        logger.info("%s answers were written to %s", f"{known:,}", self._path)
        if known < rows:
            logger.warning(
                "%s of %s rows have no answer: their requests failed, and they will not be compared",
                f"{rows - known:,}",
                f"{rows:,}",
            )
