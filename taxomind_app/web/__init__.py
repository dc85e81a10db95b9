"""The review page: rendered on the server, a style sheet and a script beside it, nothing built, nothing from elsewhere."""
