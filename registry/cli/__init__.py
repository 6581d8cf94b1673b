"""The command `registry`, a file for each group of commands."""
