"""Two models behind one server: nine of ten requests to one, the tenth to the other, each under its own name."""

from inference_swarm import InferenceUser, attach
from locust import task


class Stable(InferenceUser):
    """90 % of the users."""

    weight = 9

    @task
    def predict(self) -> None:
        self.send(self.next_body(), path="/invocation?model=xgboost", name="stable")


class Canary(InferenceUser):
    """10 % of the users."""

    weight = 1

    @task
    def predict(self) -> None:
        self.send(self.next_body(), path="/invocation?model=catboost", name="canary")


attach()
