"""HttpUser, rows of a data frame as dictionaries, a random one each request."""

import os
import random

import pandas as pd

from locust import HttpUser, constant, task

ROWS = pd.read_parquet(os.environ["BENCH_ROWS"]).to_dict("records")
WAIT_S = float(os.environ.get("BENCH_WAIT_S", "0"))


class Sender(HttpUser):
    wait_time = constant(WAIT_S)

    def on_start(self) -> None:
        self.client.verify = False

    @task
    def invoke(self) -> None:
        self.client.post("/invocation", json=random.choice(ROWS))
