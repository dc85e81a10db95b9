"""Stage 7: what the answers are worth, measured against known codes."""
