"""Stage 3: texts to places in the tree, with a stop, a confidence and an explanation."""
