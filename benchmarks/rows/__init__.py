"""A module per row of the table, or per few measured together: `async def run(bench) -> Sequence[Row]`."""
