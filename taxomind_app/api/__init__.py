"""The HTTP service: the labelling client's contract, our own routes, and the workers that do what was asked."""
