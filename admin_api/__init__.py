"""The HTTP face of an agent, for our own process and for any FastAPI app with a graph of its own."""

from admin_api.deps import AdministeredAgent
from admin_api.mounted import MountedAgent
from admin_api.router import admin_router

__all__ = ["AdministeredAgent", "MountedAgent", "admin_router"]
