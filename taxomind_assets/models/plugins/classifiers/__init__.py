"""Classifiers: rows of numbers, or texts, to one score per class."""
