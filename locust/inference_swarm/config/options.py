"""The one table of settings: name, flag, environment variable, key in config.json, value type, default, help.

Everything else is derived from it: command line, start form, config.json, `--print-settings`, docs/settings.md.
"""

from __future__ import annotations

from inference_swarm.config import value_types
from inference_swarm.config.answer_options import ANSWER_OPTIONS
from inference_swarm.config.api_options import API_OPTIONS
from inference_swarm.config.capacity_options import CAPACITY_OPTIONS
from inference_swarm.config.load_options import ARRIVALS, LOAD_OPTIONS
from inference_swarm.config.option import Option
from inference_swarm.config.pipeline_options import PIPELINE_OPTIONS

METHODS = ("predict", "predict_proba")
ROW_ORDERS = ("random", "sequential", "shuffle", "once")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

OPTIONS: tuple[Option, ...] = (
    # Locust's own, to which config.json gives defaults
    Option(
        "host", "--host", "LOCUST_HOST", "host", value_types.URL, None,
        "server under test; may have a path and a query", locust_dest="host", hides_query=True,
    ),
    Option(
        "users", "--users", "LOCUST_USERS", "users", value_types.USERS, 50, "users of the swarm",
        locust_dest="num_users",
    ),
    Option(
        "spawn_rate", "--spawn-rate", "LOCUST_SPAWN_RATE", "spawn_rate", value_types.RATE, 10.0,
        "users started per second", locust_dest="spawn_rate",
    ),
    Option(
        "duration_s", "--run-time", "LOCUST_RUN_TIME", "duration", value_types.RUN_TIME, None,
        "length of the run from its first user on; without it the run goes on until it is stopped",
        locust_dest="run_time",
    ),
    Option(
        "stop_timeout_s", "--stop-timeout", "LOCUST_STOP_TIMEOUT", "stop_timeout", value_types.WHOLE_SECONDS, 10,
        "how long requests in flight may take when users are stopped", locust_dest="stop_timeout",
    ),
    Option(
        "log_level", "--loglevel", "LOGLEVEL", "log_level", value_types.upper_choice(*LOG_LEVELS), "INFO",
        "lowest level that is logged", locust_dest="loglevel", choices=LOG_LEVELS,
    ),
    # ours
    Option(
        "dataset_name", "--dataset-name", "DATASET_NAME", "dataset_name", value_types.TEXT, "",
        "dataset whose X_test.parquet is sent; also the query parameter `dataset`. "
        "Empty: the only dataset there is, without the parameter",
    ),
    Option(
        "model", "--model", "LOAD_MODEL", "model", value_types.TEXT, "",
        "name of the model: the query parameter `model`, or a part of the path, by --api; empty: not sent",
    ),
    Option(
        "pred_method", "--pred-method", "PRED_METHOD", "pred_method", value_types.TEXT, "",
        "predict or predict_proba: the query parameter `method`, or what --api makes of it (docs/apis.md); "
        "empty: not sent",
    ),
    Option(
        "wait_min_s", "--wait-min", "SWARM_WAIT_MIN", "wait_time.min_seconds", value_types.SECONDS, 0.0,
        "minimum wait of a user between two requests, in seconds",
    ),
    Option(
        "wait_max_s", "--wait-max", "SWARM_WAIT_MAX", "wait_time.max_seconds", value_types.SECONDS, 0.0,
        "maximum wait of a user between two requests, in seconds",
    ),
    *LOAD_OPTIONS,
    Option(
        "slo", "--slo", "SWARM_SLO", "slo", value_types.TEXTS, "",
        "objectives that the run must meet, such as p99<50ms; error_rate<0.1%; rate>=1000; may be given several times. "
        "docs/measuring.md has the grammar", joined_with="; ",
    ),
    Option(
        "warm_up", "--warm-up", "SWARM_WARM_UP", "warm_up", value_types.TEXT, "",
        "the beginning of the run that is sent and left out of every metric, such as 10s or 5000 requests; part of "
        "--run-time",
    ),
    Option(
        "abort_when", "--abort-when", "SWARM_ABORT_WHEN", "abort_when", value_types.TEXTS, "",
        "conditions that end the run early, such as error_rate>50% for 10s; may be given several times. "
        "docs/measuring.md has the grammar", joined_with="; ",
    ),
    *CAPACITY_OPTIONS,
    Option(
        "ab", "--ab", "SWARM_AB", "ab", value_types.TEXT, "",
        "one run whose requests alternate at random between two values of model, model-version, path or host, each row "
        "sent to both, such as model=xgboost,catboost: the report says what differs and how sure that is; exit code 3 "
        "when B is worse (by more than --max-regression, if that is given). docs/measuring.md", hides_query=True,
    ),
    *PIPELINE_OPTIONS,
    Option(
        "data", "--data", "SWARM_DATA", "data", value_types.TEXT, "",
        "rows to send instead of the dataset's X_test.parquet: a file (parquet, CSV, JSON lines, Arrow), a folder, a "
        "glob or a URL (s3://, gs://); several with commas. docs/data.md says what is sent for which type",
        holds_locations=True, in_start_form=False,
    ),
    Option(
        "columns", "--columns", "SWARM_COLUMNS", "columns", value_types.NAMES, "",
        "columns to send, in this order, with commas between them; empty: all", joined_with=",", in_start_form=False,
    ),
    Option(
        "drop_columns", "--drop-columns", "SWARM_DROP_COLUMNS", "drop_columns", value_types.NAMES, "",
        "columns that are not sent, such as an id; with commas between them", joined_with=",", in_start_form=False,
    ),
    Option(
        "rename", "--rename", "SWARM_RENAME", "rename", value_types.NAMES, "",
        "names under which columns are sent: old=new, with commas between them", joined_with=",", in_start_form=False,
    ),
    Option(
        "label_column", "--label-column", "SWARM_LABEL_COLUMN", "label_column", value_types.TEXT, "",
        "column of the data that holds each row's label: it is not sent, and predictions are compared with it",
        in_start_form=False,
    ),
    Option(
        "labels", "--labels", "SWARM_LABELS", "labels", value_types.TEXT, "",
        "file with the label of each row; empty: of a dataset the y_test.parquet beside it",
        holds_locations=True, in_start_form=False,
    ),
    Option(
        "row_order", "--row-order", "SWARM_ROW_ORDER", "row_order", value_types.choice(*ROW_ORDERS), "random",
        "random: uniform over the shard; sequential; shuffle: every row once an epoch; "
        "once: every row of the dataset once, then the run ends", choices=ROW_ORDERS,
    ),
    Option(
        "batch_size", "--batch-size", "SWARM_BATCH_SIZE", "batch_size", value_types.BATCH_SIZE, 1,
        "rows in each request; orders that take each row once end with a smaller batch where rows are left over",
    ),
    Option("seed", "--seed", "SWARM_SEED", "seed", value_types.INTEGER, 0, "seed of everything random in a run"),
    Option(
        "row_memory_bytes", "--row-memory", "SWARM_ROW_MEMORY", "row_memory", value_types.SIZE, 256 * 2**20,
        "memory for ready requests on each worker, such as 256MiB",
    ),
    *API_OPTIONS,
    Option(
        "expect_status", "--expect-status", "SWARM_EXPECT_STATUS", "expect_status", value_types.TEXT, "2xx",
        "statuses that count as success, such as 2xx or 200,201",
    ),
    *ANSWER_OPTIONS,
    Option(
        "no_probe", "--no-probe", "SWARM_NO_PROBE", "no_probe", value_types.FLAG, False,
        "begin without the one request with one row that a worker sends before the run, and that refuses a run whose "
        "requests the server does not take",
    ),
    Option(
        "wait_ready_s", "--wait-ready", "SWARM_WAIT_READY", "wait_ready", value_types.TIMEOUT, None,
        "time, such as 60s, for which a worker asks before the run whether the server is ready, as --api has it; "
        "without it nobody asks",
    ),
    Option(
        "headers", "--header", "SWARM_HEADERS", "headers", value_types.HEADERS, "",
        "header of every request, such as 'Authorization: Bearer …'; may be given several times (one a line in "
        "SWARM_HEADERS). Values are recorded nowhere; they reach the workers over the control channel (--swarm-keys)",
        joined_with="\n", is_secret=True, in_start_form=False,
    ),
    Option(
        "connect_timeout_s", "--connect-timeout", "SWARM_CONNECT_TIMEOUT", "connect_timeout", value_types.TIMEOUT, 5.0,
        "maximum time to connect, in seconds", in_start_form=False,
    ),
    Option(
        "request_timeout_s", "--request-timeout", "SWARM_REQUEST_TIMEOUT", "request_timeout", value_types.TIMEOUT, 60.0,
        "maximum time from the send to the last byte of the response, in seconds", in_start_form=False,
    ),
    Option(
        "connection_lifetime_s", "--connection-lifetime", "SWARM_CONNECTION_LIFETIME", "connection_lifetime",
        value_types.TIMEOUT, None,
        "age at which a connection is replaced between two requests, such as 30s, with a new look-up of the server's "
        "name: load then reaches servers that are added during a run; without it a connection is kept as long as the "
        "server keeps it", in_start_form=False,
    ),
    Option(
        "source_address", "--source-address", "SWARM_SOURCE_ADDRESS", "source_address", value_types.NAMES, "",
        "local addresses from which a worker's connections leave, in turn, with commas between them: each has ports of "
        "its own (about 28,000); a worker that was started with its own uses those; empty: the kernel chooses",
        joined_with=",", in_start_form=False,
    ),
    Option(
        "ca_file", "--ca-file", "SWARM_CA_FILE", "ca_file", value_types.TEXT, "",
        "certificates to trust for https, in PEM; empty: the system's", in_start_form=False,
    ),
    Option(
        "client_cert", "--client-cert", "SWARM_CLIENT_CERT", "client_cert", value_types.TEXT, "",
        "certificate to show to a server that asks for one, in PEM; empty: none", in_start_form=False,
    ),
    Option(
        "client_key", "--client-key", "SWARM_CLIENT_KEY", "client_key", value_types.TEXT, "",
        "private key of --client-cert, in PEM and without a password; empty: it is in the same file",
        in_start_form=False,
    ),
    Option(
        "insecure", "--insecure", "SWARM_INSECURE", "insecure", value_types.FLAG, False,
        "do not verify the server's certificate", in_start_form=False,
    ),
    Option(
        "results_dir", "--results", "SWARM_RESULTS", "results", value_types.TEXT, "experiment-results",
        "folder for results; datasets made by training are looked for in its splits/", in_start_form=False,
    ),
    Option(
        "load_timeout_s", "--load-timeout", "SWARM_LOAD_TIMEOUT", "load_timeout", value_types.TIMEOUT, 300.0,
        "maximum time for the workers to load their shards, in seconds", in_start_form=False,
    ),
    Option(
        "run_name", "--run-name", "SWARM_RUN_NAME", "run_name", value_types.TEXT, "",
        "name of the run's folder in RESULTS/runs; empty: <time>_<data>_<model>", in_start_form=False,
    ),
    Option(
        "allow_host", "--allow-host", "SWARM_ALLOW_HOST", "allow_host", value_types.TEXTS, "",
        "only these servers may be tested: names (*.test.example), addresses ([::1]) or networks (10.0.0.0/8), each "
        "with or without a port (127.0.0.1:8000); may be given several times; master and workers each apply "
        "their own; empty: any server",
        joined_with="; ", in_start_form=False,
    ),
    Option(
        "web_host_names", "--web-host-name", "SWARM_WEB_HOST_NAMES", "web_host_names", value_types.TEXTS, "",
        "name under which browsers may reach the web UI, such as swarm.example.org or *.example.org; may be given "
        "several times; addresses, localhost and this machine's own names always may", joined_with="; ",
        in_start_form=False,
    ),
    Option(
        "swarm_keys", "--swarm-keys", "SWARM_KEYS", "swarm_keys", value_types.TEXT, "",
        "folder made by the command `keys`: master and workers encrypt their traffic and accept no other peers; "
        "empty: anyone who reaches the master's port can join", in_start_form=False,
    ),
    Option(
        "master_timeout_s", "--master-timeout", "SWARM_MASTER_TIMEOUT", "master_timeout", value_types.MASTER_TIMEOUT,
        5.0, "time after which a worker that hears nothing from its master has stopped sending, in seconds; at least 3",
        in_start_form=False,
    ),
)  # fmt: skip

__all__ = ["ARRIVALS", "BY_JSON_KEY", "BY_NAME", "LOG_LEVELS", "METHODS", "OPTIONS", "ROW_ORDERS", "Option"]

BY_NAME = {option.name: option for option in OPTIONS}
BY_JSON_KEY = {option.json_key: option for option in OPTIONS}
