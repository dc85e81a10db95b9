"""Feature extractors: texts or tokens to rows of numbers."""
