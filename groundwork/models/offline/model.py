"""The offline model as LangChain has chat models: whole answers, or word by word."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LangSmithParams, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import NonNegativeFloat

from groundwork.models.offline.answers import WHO_I_AM, answer_to, forced_tool

_WORD = re.compile(r"\s*\S+|\s+\Z")


class OfflineChatModel(BaseChatModel):
    """A stand-in for a language model that makes every path of an agent run without a key.

    It says that it is the offline model in the first answer of a conversation and whenever it is asked who
    it is. The same prompt gives the same text, word by word when streamed. It understands, in this order:

    * the summariser's prompt: a bounded summary that keeps the facts (`my name is Ada`) of the messages;
    * a bound schema (`with_structured_output`, or any forced `tool_choice`): filled from the last human
      message, which may be a JSON object or name fields as `priority: high` or `priority=high`. What is not
      named: an enum takes the first of its values that the text mentions, and a required field takes the
      text (string), its first number (number), or an empty value. What cannot be filled stays away, so
      that validation fails where a careless model would make it fail;
    * results of tools, when they are what comes last: it says what each of them answered;
    * `call add {"a": 2, "b": 3}` (or `/tool add {...}`): calls that tool; several lines are several calls
      in parallel. An unknown tool or bad JSON is explained, with the tools that are bound;
    * `count to 2000`: as many tokens;
    * `who are you?`, `help`: what it is and what it understands;
    * `what are your instructions?`: the system prompt that it was given;
    * `my name is Ada`, later `what is my name?` or `what do you remember?`: answered from what it is given,
      the window and the summary, and from nothing else;
    * anything else: it repeats what was said, and how many messages it can see.

    `delay_seconds` is waited before each token. `introduction` is what it says of itself.
    """

    delay_seconds: NonNegativeFloat = 0.0
    introduction: str = WHO_I_AM

    @property
    def _llm_type(self) -> str:
        return "offline"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        """Which model it is, for traces."""
        return {"ls_provider": "offline", "ls_model_name": "offline", "ls_model_type": "chat"}

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: Any = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], tool_choice=tool_choice, **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        answer = self._answer(messages, kwargs)
        time.sleep(self.delay_seconds * len(_words(answer)))
        return ChatResult(generations=[ChatGeneration(message=answer)])

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        answer = self._answer(messages, kwargs)
        await asyncio.sleep(self.delay_seconds * len(_words(answer)))
        return ChatResult(generations=[ChatGeneration(message=answer)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for chunk in _chunks(self._answer(messages, kwargs)):
            time.sleep(self.delay_seconds)
            if run_manager:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in _chunks(self._answer(messages, kwargs)):
            await asyncio.sleep(self.delay_seconds)
            if run_manager:
                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    def _answer(self, messages: Sequence[BaseMessage], bound: dict[str, Any]) -> AIMessage:
        tools = bound.get("tools") or []
        forced = forced_tool(tools, bound.get("tool_choice"))
        answer = answer_to(messages, tools, forced, self.introduction)
        answer.response_metadata = {"model_name": "offline"}
        return answer


def _chunks(answer: AIMessage) -> Iterator[ChatGenerationChunk]:
    """The text word by word, then the tool calls and whatever else the message carries."""
    for word in _words(answer):
        yield ChatGenerationChunk(message=AIMessageChunk(content=word))
    yield ChatGenerationChunk(
        message=AIMessageChunk(
            content="",
            tool_call_chunks=[
                tool_call_chunk(name=call["name"], args=json.dumps(call["args"]), id=call["id"], index=index)
                for index, call in enumerate(answer.tool_calls)
            ],
            response_metadata=answer.response_metadata,
            chunk_position="last",
        )
    )


def _words(answer: AIMessage) -> list[str]:
    return _WORD.findall(answer.text)
