"""A Locust User that does nothing: what Locust itself costs."""

from locust import User, constant, task


class Idler(User):
    wait_time = constant(1000)

    @task
    def nothing(self) -> None:
        pass
