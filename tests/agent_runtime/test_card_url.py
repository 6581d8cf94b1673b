"""The card's URL changes at once, and `.env` follows where it can."""

import asyncio
import errno
import os
import stat
from pathlib import Path

import pytest
from dotenv import dotenv_values

from agent_runtime.errors import InvalidValue
from agent_runtime.live_settings.card_url import CardUrl, CardUrlChange
from agent_runtime.settings import AgentSettings

OLD = "http://10.10.20.22:24002/admin/a2a/my-agent"
NEW = "http://new-proxy:8080/admin/a2a/my-agent"


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    file = tmp_path / ".env"
    file.write_text(f"AGENT_ID=my-agent\nPUBLIC_AGENT_URL={OLD}\nMODEL=\n")
    return file


def change(card: CardUrl, url: str) -> CardUrlChange:
    return asyncio.run(card.change(url))


def written(file: Path, url: str) -> str:
    """The file's text with the URL masked, so that a test shows what is around it."""
    return file.read_bytes().decode().replace(url, "…")


def test_a_change_answers_with_both_urls_and_is_in_force_at_once(env_file: Path) -> None:
    card = CardUrl(OLD, env_file)
    done = change(card, NEW)
    assert (done.url, done.previous_url, done.persisted) == (NEW, OLD, True)
    assert card.url == NEW


def test_the_settings_read_the_new_url_at_the_next_start(env_file: Path) -> None:
    change(CardUrl(OLD, env_file), NEW)
    assert AgentSettings(_env_file=env_file).public_agent_url == NEW


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "# the card\nA=1\n\nPUBLIC_AGENT_URL=x # proxy\nB='2' # two\n",
            "# the card\nA=1\n\nPUBLIC_AGENT_URL=… # proxy\nB='2' # two\n",
        ),
        ('export PUBLIC_AGENT_URL = "x"# note\nexport B=1\n', "export PUBLIC_AGENT_URL = … # note\nexport B=1\n"),
        ("A=1\r\nPUBLIC_AGENT_URL=x\r\nB=2\r\n", "A=1\r\nPUBLIC_AGENT_URL=…\r\nB=2\r\n"),
        ("PUBLIC_AGENT_URL=  # not set yet\n", "PUBLIC_AGENT_URL=… # not set yet\n"),
        ("PUBLIC_AGENT_URL=\nA=1", "PUBLIC_AGENT_URL=…\nA=1"),
        ("PUBLIC_AGENT_URL\n", "PUBLIC_AGENT_URL=…\n"),
        ("PUBLIC_AGENT_URL=a\nPUBLIC_AGENT_URL=x\n", "PUBLIC_AGENT_URL=a\nPUBLIC_AGENT_URL=…\n"),
        ("public_agent_url=x\n", "public_agent_url=…\n"),
        ("# PUBLIC_AGENT_URL=http://h\nA=1", "# PUBLIC_AGENT_URL=http://h\nA=1\nPUBLIC_AGENT_URL=…\n"),
        ("A=1\r\n", "A=1\r\nPUBLIC_AGENT_URL=…\r\n"),
        ("A='two\nlines'\n\n", "A='two\nlines'\n\nPUBLIC_AGENT_URL=…\n"),
        ("\ufeffPUBLIC_AGENT_URL=x\n", "\ufeffPUBLIC_AGENT_URL=…\n"),
        ("", "PUBLIC_AGENT_URL=…\n"),
    ],
)
def test_every_other_line_and_comment_stays_as_it_was(tmp_path: Path, before: str, after: str) -> None:
    file = tmp_path / ".env"
    file.write_bytes(before.encode())
    assert change(CardUrl(OLD, file), NEW).persisted
    assert written(file, NEW) == after


@pytest.mark.parametrize(
    "url",
    [
        "http://h/?a=1&b=$HOME",
        "http://h/it's",
        'http://h/"quoted"',
        "http://h/100%25",
        "http://h/${HOME}/x",
        "http://h/$${A:-b}",
        "http://h/`id`;rm|x",
        "http://[::1]:8000/~me?q=a+b,c",
        "https://müller.example/안녕",
    ],
)
def test_an_odd_url_is_read_back_from_the_file_as_it_was(env_file: Path, url: str) -> None:
    env_file.write_text(env_file.read_text() + "QUOTED='it'\nOTHER=\"b\"\n")
    assert change(CardUrl(OLD, env_file), url).persisted
    assert dotenv_values(env_file)["PUBLIC_AGENT_URL"] == url
    assert change(CardUrl(url, env_file), NEW).persisted
    assert written(env_file, NEW) == "AGENT_ID=my-agent\nPUBLIC_AGENT_URL=…\nMODEL=\nQUOTED='it'\nOTHER=\"b\"\n"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "new-proxy:8080",
        "/a2a",
        "ftp://h/",
        "http://",
        "http://u:p@h/",
        "http://h/#x",
        "http://h/ x",
        "http://h/\n",
        "http://h/a\\b\\",
    ],
)
def test_a_url_that_cannot_stand_on_a_card_changes_nothing(env_file: Path, url: str) -> None:
    card, before = CardUrl(OLD, env_file), env_file.read_bytes()
    with pytest.raises(InvalidValue) as refused:
        change(card, url)
    assert refused.value.field == "url"
    assert (card.url, env_file.read_bytes()) == (OLD, before)


def test_the_file_keeps_its_mode_and_owner_and_leaves_nothing_beside_it(env_file: Path) -> None:
    env_file.chmod(0o640)
    before = env_file.stat()
    change(CardUrl(OLD, env_file), NEW)
    after = env_file.stat()
    assert stat.S_IMODE(after.st_mode) == 0o640
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)
    assert list(env_file.parent.iterdir()) == [env_file]


def test_the_file_behind_a_link_is_changed_and_the_link_stays(env_file: Path) -> None:
    link = env_file.with_name("link")
    link.symlink_to(env_file)
    assert change(CardUrl(OLD, link), NEW).persisted
    assert link.is_symlink()
    assert NEW in env_file.read_text()


def test_a_file_that_cannot_be_replaced_is_rewritten_in_place(
    env_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: object) -> None:
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    # What the kernel answers for a file that is a mount of its own, as in a container.
    monkeypatch.setattr(Path, "replace", busy)
    inode = env_file.stat().st_ino
    assert change(CardUrl(OLD, env_file), NEW).persisted
    assert written(env_file, NEW) == "AGENT_ID=my-agent\nPUBLIC_AGENT_URL=…\nMODEL=\n"
    assert env_file.stat().st_ino == inode
    assert list(env_file.parent.iterdir()) == [env_file]


def test_a_file_whose_directory_takes_no_new_file_is_rewritten_in_place(env_file: Path) -> None:
    # The name is as long as a name may be, so there is no room for a temporary one made from it.
    long = env_file.rename(env_file.with_name("e" * 255))
    assert change(CardUrl(OLD, long), "http://h/").persisted
    assert written(long, "http://h/") == "AGENT_ID=my-agent\nPUBLIC_AGENT_URL=…\nMODEL=\n"


def test_a_read_only_file_is_left_alone_and_the_change_is_lost_at_restart(env_file: Path) -> None:
    env_file.chmod(0o444)
    before = env_file.read_bytes()
    card = CardUrl(OLD, env_file)
    assert not change(card, NEW).persisted
    assert (card.url, env_file.read_bytes()) == (NEW, before)


def test_no_file_is_ever_created(tmp_path: Path) -> None:
    assert not change(CardUrl(OLD, tmp_path / ".env"), NEW).persisted
    assert not change(CardUrl(OLD, None), NEW).persisted
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_old_file_whole(env_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = env_file.read_bytes()
    monkeypatch.setattr(os, "fsync", full)
    assert not change(CardUrl(OLD, env_file), NEW).persisted
    assert env_file.read_bytes() == before
    assert list(env_file.parent.iterdir()) == [env_file]


async def test_changes_that_overlap_end_with_the_file_saying_what_is_in_force(env_file: Path) -> None:
    card = CardUrl(OLD, env_file)
    changes = await asyncio.gather(*(card.change(f"http://proxy-{n}/") for n in range(20)))
    assert all(change.persisted for change in changes)
    assert [change.previous_url for change in changes] == [OLD, *(change.url for change in changes[:-1])]
    assert dotenv_values(env_file)["PUBLIC_AGENT_URL"] == card.url
