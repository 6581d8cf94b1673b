"""A model that thinks for as long as a test wants it to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.registry.engine.model_server import seam_answer
from tests.servers import run_server


@dataclass
class SlowModel:
    """Speaks the seam's protocol. Answers what is in a prompt as `sleep 2` after as many seconds, what is `hold`
    once it is let go, and everything else at once."""

    url: str = ""
    prompts: list[str] = field(default_factory=list)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    async def complete(self, request: Request) -> JSONResponse:
        prompt: str = (await request.json())["messages"][-1]["content"]
        self.prompts.append(prompt)
        if prompt == "hold":
            await self.released.wait()
        elif prompt.startswith("sleep"):
            await asyncio.sleep(float(prompt.split()[1]))
        return JSONResponse(seam_answer(f"after {prompt}"))

    async def asked(self, times: int) -> None:
        """Returns once it was asked so often."""
        async with asyncio.timeout(20):
            while len(self.prompts) < times:
                await asyncio.sleep(0.02)


@asynccontextmanager
async def running_slow_model() -> AsyncIterator[SlowModel]:
    model = SlowModel()
    async with run_server(Starlette(routes=[Route("/v1/complete", model.complete, methods=["POST"])])) as url:
        model.url = url
        try:
            yield model
        finally:
            model.released.set()
