"""The edge between the settings table and Locust's parser, environment and config.json.

config.json becomes the parser's defaults, so that Locust's own precedence (default < file < environment < command
line) holds for its options and ours alike; `SettingSources` remembers where each value came from.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from inference_swarm.config.documents import SettingValues
from inference_swarm.config.json_file import read_json_settings
from inference_swarm.config.option import Option
from inference_swarm.config.options import BY_NAME, OPTIONS
from inference_swarm.config.scenarios import with_presets
from inference_swarm.config.settings import Check, Settings, resolve_settings
from inference_swarm.config.value_types import ANSWER_CHECK, ANSWER_CHECKS, FLAG
from inference_swarm.errors import ConfigError, SettingProblem, SwarmError

CONFIG_FILE_ENV = "SWARM_CONFIG"
PROGRAM_ENV = "SWARM_PROGRAM"
"""Set by our command, which becomes Locust's: what the user has called."""
WORKERS_ENV = "WORKERS"


class SettingSources:
    """Where each value came from, for messages, `--print-settings` and the results."""

    def __init__(self, by_name: Mapping[str, str] | None = None) -> None:
        self._by_name = dict(by_name or {})

    def describe(self, option: Option) -> str:
        """Return the source, such as `command line`, `environment DATASET_NAME` or `built-in default`."""
        return self._by_name.get(option.name, "start form")

    def mark(self, name: str, source: str) -> None:
        """Record another source of the value, such as the start form of the web UI."""
        self._by_name[name] = source

    def to_dict(self) -> dict[str, str]:
        """Return the sources by setting name."""
        return dict(self._by_name)


class CommandLine:
    """Adds our options to Locust's parser and checks what it parsed before Locust acts on it."""

    def __init__(self, config_file: Path, checks: tuple[Check, ...] = ()) -> None:
        self.config_file = Path(os.environ.get(CONFIG_FILE_ENV) or config_file)
        self.sources = SettingSources()
        self._defaults = ("built-in default", str(self.config_file))
        self._checks = checks
        self._file_problems: list[SettingProblem] = []
        self._file_values: SettingValues = {}
        self._parsed: SettingValues = {}
        self._parsed_sources: dict[str, str] = {}

    def extend(self, parser: Any, before_run: Callable[[argparse.Namespace, Settings | None], None]) -> None:
        """Add options and defaults to `parser` (a LocustArgumentParser) and validate at each parse.

        `before_run` gets the parsed options and, unless this is a worker, the settings; it may raise SwarmError.
        """
        if parser.prog == "__main__.py":  # as `python -m locust` calls itself; its messages begin with it
            parser.prog = os.environ.get(PROGRAM_ENV) or "locust"
        self._file_problems = []
        self._file_values = read_json_settings(self.config_file, self._file_problems)
        group = parser.add_argument_group(
            "Inference Swarm options", "Defaults come from config.json; see docs/settings.md."
        )
        for option in OPTIONS:
            default = self._file_values.get(option.name, option.default)
            if option.locust_dest:
                if default is not None:
                    parser.set_defaults(**{option.locust_dest: default})
            else:
                self._add(group, option, default)
        _add_prints(group)
        if not os.environ.get("LOCUST_LOGLEVEL"):
            _action(parser, "loglevel").env_var = "LOGLEVEL"
        parse = parser.parse_args

        def parse_and_check(args: Sequence[str] | None = None, namespace: Any = None, **kwargs: Any) -> Any:
            # Compose and Kubernetes pass unset variables as empty ones; it is a value where empty means something.
            kwargs.setdefault("env_vars", {key: value for key, value in os.environ.items() if value != ""})
            options = parse(args, namespace, **kwargs)
            self._record_sources(parser, sys.argv[1:] if args is None else list(args), kwargs["env_vars"])
            self._clear(options)
            self._parsed = dict(vars(options))
            self._parsed_sources = self.sources.to_dict()
            try:
                self._act(options, before_run)
            except ConfigError as error:
                parser.exit(error.exit_code, f"{error}\n")
            return options

        parser.parse_args = parse_and_check

    def _clear(self, options: argparse.Namespace) -> None:
        """Let an empty environment variable clear a value of config.json, for settings that may be empty."""
        for option in OPTIONS:
            source = self.sources.describe(option)
            is_lower = source in self._defaults
            may_be_empty = option.locust_dest is None and option.default in (None, "")
            if may_be_empty and is_lower and os.environ.get(option.env) == "":
                setattr(options, option.dest, option.default)
                self.sources.mark(option.name, f"environment {option.env}")

    def settings(self, options: argparse.Namespace, *, is_host_required: bool = True) -> Settings:
        """Return the settings as the options are now; raises ConfigError. Later changes are from the form."""
        for option in OPTIONS:
            value = getattr(options, option.dest, None)
            is_parsed = value is None or value == self._parsed.get(option.dest)
            source = self._parsed_sources.get(option.name, "start form") if is_parsed else "start form"
            self.sources.mark(option.name, source)
        read, presets = with_presets(
            lambda option: getattr(options, option.dest, None), self.sources.describe, BY_NAME, self._defaults
        )
        for name, source in presets.items():
            self.sources.mark(name, source)
        return resolve_settings(
            read,
            self.sources.describe,
            self._checks,
            is_host_required=is_host_required,
        )

    def _act(
        self, options: argparse.Namespace, before_run: Callable[[argparse.Namespace, Settings | None], None]
    ) -> None:
        if options.worker:
            before_run(options, None)
            return
        has_start_form = not options.headless and not options.autostart
        is_host_required = not has_start_form and options.print_row is None
        problems: list[SwarmError] = list(self._file_problems)
        try:
            settings = self.settings(options, is_host_required=is_host_required)
        except ConfigError as error:
            problems += error.problems
        if problems:
            raise ConfigError(problems)
        if options.print_settings:
            print(self.table(settings))  # noqa: T201 - this is what the option is for
            sys.exit(0)
        before_run(options, settings)

    def table(self, settings: Settings) -> str:
        """Return every setting, its value and its source, in columns."""
        values = settings.to_record()
        rows = [("setting", "value", "from", "flag", "environment")]
        rows += [(o.name, _in_a_line(values[o.name]), self.sources.describe(o), o.flag, o.env) for o in OPTIONS]
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)

    def _add(self, group: Any, option: Option, default: object) -> None:
        def parse(text: str) -> object:
            if text == "" and option.default in (None, ""):
                return option.default
            try:
                return option.value_type.parse(text)
            except (ValueError, OverflowError):
                raise argparse.ArgumentTypeError(f"{text!r} is not {option.value_type.expected}") from None

        kwargs: dict[str, Any] = {"nargs": "?", "const": True} if option.value_type is FLAG else {}
        if option.value_type is ANSWER_CHECK:
            kwargs = {"nargs": "?", "const": ANSWER_CHECKS[1]}
        if option.joined_with:
            kwargs |= {"action": _JoinTexts, "separator": option.joined_with}
        action = group.add_argument(
            option.flag,
            dest=option.name,
            env_var=option.env,
            default=default,
            type=parse,
            choices=list(option.choices) if option.choices else None,
            metavar=None if option.choices else f"<{option.value_type.name}>",
            help=option.help.replace("%", "%%"),
            **kwargs,
        )
        action.include_in_web_ui = option.in_start_form

    def _record_sources(self, parser: Any, args: Sequence[str], env: Mapping[str, str]) -> None:
        typed = _typed_dests(parser, args)
        in_config_files = _config_file_dests(parser)
        for option in OPTIONS:
            env_var = _action(parser, option.dest).env_var
            if option.dest in typed:
                source = "command line"
            elif env_var in env:
                source = f"environment {env_var}"
            elif option.dest in in_config_files:
                source = in_config_files[option.dest]
            elif option.name in self._file_values:
                source = str(self.config_file)
            else:
                source = "built-in default"
            self.sources.mark(option.name, source)


def _add_prints(group: Any) -> None:
    """Add the options for which something is printed instead of a run."""
    group.add_argument(
        "--print-settings",
        action="store_true",
        help="print every setting and where it came from, then exit",
    )
    row = group.add_argument(
        "--print-row",
        nargs="?",
        type=int,
        const=0,
        metavar="N",
        help="print the request that row N of the data (from 0 on; without N the first) becomes, as text and as a "
        "curl command, then exit",
    )
    row.include_in_web_ui = False


def _in_a_line(value: object) -> str:
    return "" if value is None else "; ".join(str(value).splitlines())


class _JoinTexts(argparse.Action):
    """Joins texts: the first replaces the default, later ones are added."""

    def __init__(self, *args: Any, separator: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._separator = separator

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        given = getattr(namespace, f"_given_{self.dest}", "")
        joined = self._separator.join(filter(None, (given, values)))
        setattr(namespace, f"_given_{self.dest}", joined)
        setattr(namespace, self.dest, joined)


def _action(parser: argparse.ArgumentParser, dest: str) -> Any:
    return next(action for action in parser._actions if action.dest == dest)


def _typed_dests(parser: argparse.ArgumentParser, args: Sequence[str]) -> set[str]:
    """Destinations of the flags in `args`, also when shortened or joined with their value."""
    flags: dict[str, argparse.Action] = parser._option_string_actions
    found: set[str] = set()
    for arg in args:
        if arg.startswith("--"):
            name = arg.partition("=")[0]
            matches = [name] if name in flags else [flag for flag in flags if flag.startswith(name)]
        else:
            matches = [arg[:2]] if arg[:2] in flags and arg.startswith("-") else []
        found.update(flags[flag].dest for flag in matches[:1])
    return found


def _config_file_dests(parser: Any) -> dict[str, str]:
    """Destinations set by Locust's own configuration files, with the name of the file."""
    found: dict[str, str] = {}
    for source, entries in parser.get_source_to_settings_dict().items():
        kind, _, path = source.partition("|")
        if kind == "config_file":
            for action, _ in entries.values():
                if action is not None:
                    found[action.dest] = path
    return found
