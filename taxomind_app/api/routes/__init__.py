"""Routes, one module for each part of the contract."""
