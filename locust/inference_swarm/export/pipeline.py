"""What a run leaves for a pipeline: `--junit`, `--markdown`, the job's summary and annotations on GitHub. An edge."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from inference_swarm.config.documents import ReadDocument
from inference_swarm.config.settings import Settings
from inference_swarm.errors import SettingProblem
from inference_swarm.export.formats import self_check_sentences
from inference_swarm.export.junit import junit_xml
from inference_swarm.export.markdown import markdown_summary
from inference_swarm.export.run_folder import write_whole
from inference_swarm.export.terminal import objective_words

GITHUB = "GITHUB_ACTIONS"
JOB_SUMMARY = "GITHUB_STEP_SUMMARY"


def check_pipeline_files(settings: Settings) -> None:
    """Raises SettingProblem for a file that could not be written at the end. Makes the folders."""
    for flag, name in (("--junit", settings.junit), ("--markdown", settings.markdown)):
        if not name:
            continue
        path = Path(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _problem(flag, name, error.strerror or str(error)) from error
        if path.is_dir():
            raise _problem(flag, name, "it is a folder")
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise _problem(flag, name, "it may not be written by this user")


def _problem(flag: str, name: str, why: str) -> SettingProblem:
    return SettingProblem(f"{flag} {name} cannot be written: {why}", expected="a file in a folder that can be written")


def write_pipeline_files(
    summary: ReadDocument, settings: Settings, *, is_headless: bool, environment: Mapping[str, str] = os.environ
) -> None:
    """Write what the settings and the pipeline ask for. Raises OSError."""
    if settings.junit:
        write_whole(Path(settings.junit), junit_xml(summary))
    if settings.markdown:
        write_whole(Path(settings.markdown), markdown_summary(summary))
    if not is_headless:  # the runs of a web UI are nobody's job
        return
    if environment.get(JOB_SUMMARY):
        with Path(environment[JOB_SUMMARY]).open("a", encoding="utf-8") as file:
            file.write(f"{markdown_summary(summary)}\n")
    if environment.get(GITHUB) == "true":
        for line in annotation_lines(summary):
            sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def annotation_lines(summary: ReadDocument) -> Iterator[str]:
    """Yield GitHub's workflow commands: an error for each missed objective, warnings of the self-check."""
    missed = [result for result in summary["objectives"] if result["outcome"] != "pass"]
    for result in missed:
        words = f"{result['objective']}: {objective_words(result)}"
        yield _annotation("error", f"objective {result['outcome']}", words)
    if summary["exit_code"] and not missed:
        yield _annotation("error", f"load test: {summary['verdict']}", "; ".join(summary["reasons"]))
    for sentence in self_check_sentences(summary["self_check"]):
        yield _annotation("warning", "load generator", sentence)


def _annotation(level: str, title: str, text: str) -> str:
    return f"::{level} title={_escaped(title, ':,')}::{_escaped(text, '')}"


def _escaped(text: str, more: str) -> str:
    for sign in "%\r\n" + more:
        text = text.replace(sign, f"%{ord(sign):02X}")
    return text
