"""The one place that sees all stages: connects Locust's events, messages and runners to them.

`attach` is called by the locustfile; after that Locust calls us. The services for a run are in runs.py.
"""

from __future__ import annotations

import argparse
import atexit
import gc
import logging
import os
import secrets
import sys
from pathlib import Path
from typing import Any

import gevent
import locust.stats
from locust.event import Events

from inference_swarm.cluster.forked import wait_for_joined
from inference_swarm.cluster.keys import MASTER, WORKER, read_keys
from inference_swarm.cluster.runners import SwarmMasterRunner, SwarmWorkerRunner, install_runners
from inference_swarm.config.command_line import WORKERS_ENV, CommandLine
from inference_swarm.config.cpus import cpus_of_this_process
from inference_swarm.config.settings import Settings
from inference_swarm.data.locate import find_source
from inference_swarm.errors import ConfigError, ExitCode, SettingProblem, SwarmError
from inference_swarm.export.baseline import check_baseline
from inference_swarm.export.html_report import write_html_at_end
from inference_swarm.export.locust_files import finish_csv_at_end
from inference_swarm.export.pipeline import check_pipeline_files
from inference_swarm.export.results_folder import check_writable
from inference_swarm.load.print_row import print_row
from inference_swarm.load.user import InferenceUser
from inference_swarm.measure.buckets import bucket_response_time
from inference_swarm.run.named_files import resolve_template
from inference_swarm.run.plan import check_plan, first_users
from inference_swarm.transport.allowed import check_hosts_allowed
from inference_swarm.web.guard import close_cross_origin, guard, prepare_web
from inference_swarm.web.headless_metrics import check_web_ports, serve_metrics
from inference_swarm.web.routes import attach_web
from inference_swarm.wiring.answers import check_record_file
from inference_swarm.wiring.interrupts import (
    end_once,
    end_when_interrupted,
    end_when_the_terminal_closes,
    end_while_waiting,
)
from inference_swarm.wiring.otel import begin_otel, postpone_otel
from inference_swarm.wiring.runs import Runs

logger = logging.getLogger(__name__)
FORKED_SWARM = "forked_swarm"
FORKED_BY = "forked_by"


def attach(events: Events, config_file: Path) -> None:
    """Make this process a member of the swarm as soon as Locust has parsed its command line."""
    command_line = CommandLine(config_file, checks=(check_plan,))
    install_runners()
    close_cross_origin()
    locust.stats.bucket_response_time = bucket_response_time  # type: ignore[assignment]
    finish_csv_at_end()

    def on_parser(parser: Any, **_: object) -> None:
        parser.set_defaults(web_host=None)  # prepare_web says where; Locust's own default is everywhere
        command_line.extend(parser, _before_run)

    def on_init(environment: Any, runner: Any, web_ui: Any = None, **_: object) -> None:
        end_when_the_terminal_closes()
        end_once(environment.events)
        options = environment.parsed_options
        begin_otel(environment, runner)
        if isinstance(runner, SwarmWorkerRunner):
            end_when_interrupted(runner.end_at_once)
            runner.join(getattr(options, FORKED_SWARM, ""), getattr(options, FORKED_BY, None))
            return
        runs = _attach_runs(environment, runner, command_line)
        end_when_interrupted(runs.end_at_once)
        if options.headless:
            end_while_waiting(environment)
        if options.expect_workers_max_wait and isinstance(runner, SwarmMasterRunner):
            _end_without_workers(environment)
        serve_metrics(environment, runs)
        if web_ui is not None:
            brake = guard(web_ui, options)
            attach_web(environment, web_ui, runs, command_line, brake)
        write_html_at_end(environment)
        if options.processes and not os.environ.get(WORKERS_ENV):
            _say_quota(options.processes)
        if options.processes:
            gevent.spawn(_watch_forked, environment)

    events.init_command_line_parser.add_listener(on_parser)  # type: ignore[no-untyped-call]
    events.init.add_listener(on_init)  # type: ignore[no-untyped-call]
    _keep_imports()


def _keep_imports() -> None:
    """Let nobody look for garbage in what is imported by now: no request, no forked worker, no process that ends.

    At the end all that is left is kept as well, which is most of the time that an interpreter takes to end.
    """
    gc.freeze()
    gc.enable()
    atexit.register(gc.freeze)


def _attach_runs(environment: Any, runner: Any, command_line: CommandLine) -> Runs:
    options = environment.parsed_options
    if isinstance(runner, SwarmMasterRunner):
        runs = Runs(environment, command_line, "the master")
        # Workers of a finite run, or forked by this process, have nobody else to work for.
        ends_workers = runs.is_finite or bool(options.processes)
        runs.adapter = runner.attach(runs, runs, getattr(options, FORKED_SWARM, ""), ends_workers=ends_workers)
    else:
        runs = Runs(environment, command_line, "this process")
        runs.adapter = runner.attach(runs, runs, str(options.allow_host))
    return runs


def _before_run(options: argparse.Namespace, settings: Settings | None) -> None:
    """Check everything after parsing, before Locust opens a port or forks."""
    if options.swarm_keys:
        _check_keys(options)
    postpone_otel(options)
    setattr(options, FORKED_BY, os.getpid())
    if settings is None:
        return
    if options.print_row is not None:
        try:
            print(print_row(resolve_template(settings), options.print_row))  # noqa: T201 - this is what the option is for
        except SwarmError as error:
            raise ConfigError([error]) from error
        sys.exit(0)
    prepare_web(options)
    first = first_users(settings)
    if first is not None:
        options.num_users, options.spawn_rate = first
    runs_at_once = options.headless or options.autostart
    only_prints = options.list_commands or options.show_task_ratio or options.show_task_ratio_json
    if not only_prints:
        try:
            check_writable(Path(settings.results_dir))
            check_baseline(settings)
            check_pipeline_files(settings)
            check_record_file(settings)
            check_web_ports(options)
            if runs_at_once:
                check_hosts_allowed(settings, settings.allow_host, "this master")
                find_source(settings)
        except SwarmError as error:
            raise ConfigError([error]) from error
    if not options.master and options.processes is None and not only_prints:
        options.processes = _worker_count()
    elif options.processes == -1:  # one for each core; Locust would count cores that a quota withholds
        options.processes = cpus_of_this_process().processes
    if options.processes:  # what it forks takes part in its own swarm only, whoever has the usual port
        setattr(options, FORKED_SWARM, secrets.token_hex(8))
        options.master_port = options.master_bind_port
        options.master_host = "127.0.0.1" if options.master_bind_host == "*" else options.master_bind_host


def _check_keys(options: argparse.Namespace) -> None:
    """Check the keys: a process needs those of its role; one that forks workers needs both."""
    roles = [WORKER] if options.worker else [MASTER, WORKER] if options.processes else [MASTER]
    try:
        for role in roles:
            read_keys(Path(options.swarm_keys), role)
    except SettingProblem as problem:
        raise ConfigError([problem]) from problem


def _worker_count() -> int | None:
    """Return the worker processes of a plain `locust -f`: WORKERS, or one a core of the quota; None: no others."""
    text = os.environ.get(WORKERS_ENV, "")
    if not text:
        return None if os.name == "nt" else cpus_of_this_process().processes
    if not text.isdecimal():
        problem = SettingProblem(
            f"{WORKERS_ENV} is {text!r} (environment)",
            expected="a whole number of worker processes on this machine; 0 for none beside this process",
        )
        raise ConfigError([problem])
    return int(text) or None


def _watch_forked(environment: Any) -> None:
    """End a headless run whose forked workers ended before they joined: no others will come."""
    runner, options = environment.runner, environment.parsed_options
    reason = wait_for_joined(options.processes, lambda: runner.adapter.state.next_index)
    if not reason:
        return
    logger.error(reason)
    if options.headless:
        environment.process_exit_code = ExitCode.INCOMPLETE
        runner.quit()
        sys.exit(ExitCode.INCOMPLETE)


def _end_without_workers(environment: Any) -> None:
    """End when `--expect-workers` have not come in time: with Locust's own exit code requests would have failed."""
    runner, options = environment.runner, environment.parsed_options
    wait_s, options.expect_workers_max_wait = options.expect_workers_max_wait, 0

    def end() -> None:
        here = len(runner.clients.ready)
        if here < options.expect_workers and runner.adapter.state.job is None:
            logger.error(
                "%d of %d workers have joined within %g s (--expect-workers-max-wait). Fix: start the others, or give "
                "them more time.", here, options.expect_workers, wait_s,
            )  # fmt: skip
            environment.process_exit_code = ExitCode.INCOMPLETE
            runner.quit()
            sys.exit(ExitCode.INCOMPLETE)

    gevent.spawn_later(wait_s, end)


def _say_quota(processes: int) -> None:
    """Log the quota once, when it decided the number of worker processes."""
    cpus = cpus_of_this_process()
    if cpus.note and processes == cpus.processes:
        logger.warning(cpus.note)


__all__ = ["InferenceUser", "attach"]
