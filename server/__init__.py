"""The reference inference server: trains tabular models and serves them at `POST /invocation`.

Stands alone: it imports nothing of `inference_swarm`, so that the swarm can be aimed at any other server as well.
"""
