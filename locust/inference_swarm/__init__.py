"""Distributed load testing for model servers on Locust's engine; the data flow is drawn in docs/architecture.md."""

__version__ = "0.1.0"
