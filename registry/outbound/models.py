"""Which model answers when a workflow names one, and who calls it."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from langchain_core.language_models import BaseChatModel

from groundwork.models.chat_models import ModelUnusable, build_chat_model
from groundwork.models.offline.model import OfflineChatModel
from groundwork.telemetry import genai
from groundwork.telemetry.tracing import note, span
from registry.outbound.model_calls import ModelAnswer, ModelCallFailed, ModelRequest
from registry.outbound.model_providers import call_model, own_retries, split_model_id
from registry.outbound.model_seam import ModelSeam, open_seam
from registry.settings import OFFLINE, RegistrySettings

logger = logging.getLogger(__name__)

_MODELS_KEPT = 64

_INTRODUCTION = (
    "I am the offline model that comes with agent-sidecar. I need no key and no network, and I understand little;"
    " give the registry the key of a provider, or JAMJET_MODEL=provider:name, to talk to a real one."
)

_Built = tuple[str, float | None, int | None]


class Models:
    """Calls models by the ids that workflows have for them. There is one of these in a process.

    `JAMJET_MODEL` decides which model answers: the one that is named, when it is empty; the offline model, or one
    that it names, for all of them. That model is called at the seam when there is one, else by LangChain with the
    provider's key from the environment. A model that cannot be called is a failure, not an answer by another one;
    only in developer mode, without a seam, the offline model stands in, and the log says so.
    """

    def __init__(self, settings: RegistrySettings, seam: ModelSeam | None = None) -> None:
        self._for_all = settings.jamjet_model
        self._stands_in = settings.jamjet_dev_mode
        self._seam = seam
        self._offline = OfflineChatModel(introduction=_INTRODUCTION)
        self._built: dict[_Built, BaseChatModel] = {}
        self._building = asyncio.Lock()

    async def complete(self, request: ModelRequest) -> ModelAnswer:
        """Raises `ModelCallFailed`."""
        provider, _, name = request.model.rpartition("/")
        with span(f"model {request.model}", genai.model_call(provider, name), client=True):
            answer = await self._complete(request)
            note(genai.model_answer(answer.model, answer.input_tokens, answer.output_tokens))
            return answer

    async def _complete(self, request: ModelRequest) -> ModelAnswer:
        if self._for_all == OFFLINE:
            return await _ask(self._offline, request)
        if self._for_all:
            request = replace(request, model=self._for_all.replace(":", "/", 1))
        if self._seam is not None:
            return await self._seam.complete(request)
        return await _ask(await self._model_for(request), request)

    async def _model_for(self, request: ModelRequest) -> BaseChatModel:
        key = (request.model, request.temperature, request.max_tokens)
        async with self._building:
            model = self._built.get(key)
            if model is None:
                # In a thread: the first model of a provider takes a second of imports.
                model = await asyncio.to_thread(self._build, request)
                while len(self._built) >= _MODELS_KEPT:
                    self._built.pop(next(iter(self._built)))
                self._built[key] = model
        return model

    def _build(self, request: ModelRequest) -> BaseChatModel:
        try:
            return _at_provider(request)
        except ModelUnusable as error:
            if self._stands_in and not self._for_all:
                logger.warning("offline model used model=%s: %s", request.model, error)
                return self._offline
            raise ModelCallFailed(f"{request.model}: {error}") from error


@asynccontextmanager
async def open_models(settings: RegistrySettings) -> AsyncIterator[Models]:
    if settings.jamjet_model_seam_url:
        async with open_seam(settings.jamjet_model_seam_url) as seam:
            yield Models(settings, seam)
    else:
        yield Models(settings)


async def _ask(model: BaseChatModel, request: ModelRequest) -> ModelAnswer:
    answer = await call_model(model, request)
    return replace(answer, cost_usd=0.0) if isinstance(model, OfflineChatModel) else answer


def _at_provider(request: ModelRequest) -> BaseChatModel:
    found = split_model_id(request.model)
    if found is None:
        raise ModelUnusable("names no provider; write provider/model, or describe it in the workflow's models")
    provider, name = found
    given: dict[str, Any] = {"temperature": request.temperature, "max_tokens": request.max_tokens}
    parameters = {key: value for key, value in given.items() if value is not None}
    return build_chat_model(provider, name, **own_retries(provider), **parameters)
