"""Stage 2: texts of nodes as vectors, and the index that classification reads."""
