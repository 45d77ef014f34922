"""What people write today: FastHttpUser, rows of a data frame as dictionaries, a random one each request."""

import os
import random

import pandas as pd

from locust import FastHttpUser, constant, task

ROWS = pd.read_parquet(os.environ["BENCH_ROWS"]).to_dict("records")
WAIT_S = float(os.environ.get("BENCH_WAIT_S", "0"))


class Sender(FastHttpUser):
    wait_time = constant(WAIT_S)

    @task
    def invoke(self) -> None:
        self.client.post("/invocation", json=random.choice(ROWS))
