"""A body of one's own next to rows: five predictions, then feedback about them."""

import json

from inference_swarm import InferenceUser, attach
from locust import task


class WithFeedback(InferenceUser):
    """`invoke` sends the next row as any InferenceUser does; `send` takes any body."""

    @task(5)
    def predict(self) -> None:
        self.invoke()

    @task(1)
    def feedback(self) -> None:
        body = json.dumps({"useful": True}).encode()
        self.send(body, path="/feedback", name="feedback")


attach()
