"""Workflows as they were read, kept for those who ask again."""

import asyncio
from collections import OrderedDict

from registry.workflows.ir import Workflow
from registry.workflows.models import StoredWorkflow
from registry.workflows.validation import read_workflow

_KEPT = 256
_NODES_READ_AT_ONCE = 100


class WorkflowReader:
    """Reads each revision once. A revision never changes, so what was read never gets old."""

    def __init__(self) -> None:
        self._read: OrderedDict[int, Workflow] = OrderedDict()

    async def read(self, stored: StoredWorkflow) -> Workflow:
        """A large document is read in a thread, since it would hold up everybody else."""
        found = self._read.get(stored.revision_id)
        if found is None:
            if len(stored.document["nodes"]) <= _NODES_READ_AT_ONCE:
                found = read_workflow(stored.document)
            else:
                found = await asyncio.to_thread(read_workflow, stored.document)
            self._read[stored.revision_id] = found
            if len(self._read) > _KEPT:
                self._read.popitem(last=False)
        return found
