"""Our own routes below /v1: synchronous answers, and all that the review page does."""
