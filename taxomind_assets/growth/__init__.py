"""GROWTH: what does not fit is watched; a person decides whether the taxonomy grows."""
