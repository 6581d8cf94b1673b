import subprocess
import sys

CODE = """
import gc
from groundwork.process.garbage import pause_collection, resume_collection
pause_collection()
print(gc.isenabled())
kept = [[] for _ in range(1000)]
resume_collection()
print(gc.isenabled(), gc.get_freeze_count() > 1000, gc.get_threshold()[0])
"""


def test_a_start_collects_nothing_and_what_it_loaded_is_not_searched_afterwards():
    said = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["False", "True", "True", "5000"]
