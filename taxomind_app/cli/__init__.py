"""The command line `taxomind`: one module per group of commands; everything heavy is imported when a command runs."""
