import pytest

from agent_runtime.threads.ids import is_thread_id


@pytest.mark.parametrize("thread_id", ["a", "a/b c?#%", "日本語", "👩‍🚀" * 50, "x" * 255, " ", "'; DROP TABLE"])
def test_any_short_text_without_control_characters_is_a_thread_id(thread_id):
    assert is_thread_id(thread_id)


@pytest.mark.parametrize("thread_id", ["", "x" * 256, "a\x00b", "a\nb", "\x7f", "\x85", "\ud800"])
def test_nothing_else_is(thread_id):
    assert not is_thread_id(thread_id)
