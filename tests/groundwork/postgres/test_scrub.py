"""What was deleted is in no file of the server any more, once it is scrubbed."""

from pathlib import Path

import psycopg

from groundwork.postgres.embedded import open_throwaway
from groundwork.postgres.scrub import scrub


def files_with(directory: Path, word: bytes) -> list[str]:
    return [str(path) for path in directory.rglob("*") if path.is_file() and word in path.read_bytes()]


async def test_a_deleted_row_is_in_no_file_and_the_others_are_where_they_were() -> None:
    async with open_throwaway() as dsn:
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as conn:
            directory = Path(conn.info.host)
            await conn.execute("CREATE TABLE said (who text, what text)")
            for who in ("ada", "ben"):
                rows = "SELECT %s, %s || n FROM generate_series(1, 99) AS n"
                await conn.execute(f"INSERT INTO said {rows}", (who, f"canary-of-{who} "))
            await conn.execute("ANALYZE")
            await conn.execute("DELETE FROM said WHERE who = 'ada'")
            await conn.execute("VACUUM")
            await conn.execute("CHECKPOINT")
            assert files_with(directory, b"canary-of-ada")
        await scrub(dsn)
        assert files_with(directory, b"canary-of-ada") == []
        assert files_with(directory, b"canary-of-ben")
        async with await psycopg.AsyncConnection.connect(dsn) as conn:
            assert await (await conn.execute("SELECT count(*) FROM said")).fetchone() == (99,)
            assert await (await conn.execute("SHOW wal_recycle")).fetchone() == ("on",)
