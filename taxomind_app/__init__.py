"""Floor 4: the definitions that Dagster loads, and the command line."""
