"""Quality on public benchmark sets, beside other ways to code texts: `python -m tests.bench DATA_FOLDER`."""
