"""The least that an answer costs with FastAPI and uvicorn: what heartbeats are held against.

PORT=8000 python -m benchmarks.bare_answer serve
"""

import os

import uvicorn
from fastapi import FastAPI

app = FastAPI()


@app.get("/readyz")
async def readyz() -> dict[str, str]:
    return {"status": "ok"}


@app.post("/agents/{agent_id}/heartbeat")
async def heartbeat(agent_id: str) -> dict[str, str]:
    return {"agent_id": agent_id}


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["PORT"]), log_level="warning", access_log=False)
