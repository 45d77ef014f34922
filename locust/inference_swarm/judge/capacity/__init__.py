"""How much a server can take: a search for the highest rate at which every objective is met. Pure."""
