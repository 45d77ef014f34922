"""What scripts/start.sh runs: starts server, master and workers on this machine and shows the result."""
