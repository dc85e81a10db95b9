"""Stage 1: reading, checking and storing the tree."""
