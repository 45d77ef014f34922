"""Coordinator and agents on a virtual clock and a simulated network, from one seed."""
