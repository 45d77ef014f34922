"""Trains models: a dataset (generated or a real file) in; parquet splits, models and metrics out."""
