"""The command `inference-swarm`: starts server, master and workers on this machine and shows the result."""
