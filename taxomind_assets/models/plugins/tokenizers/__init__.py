"""Tokenizers: texts to lists of tokens."""
