"""How long 2,000 tokens take to reach a caller as a stream, against how long the model takes to say them."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial

from benchmarks.bench import Bench
from benchmarks.report import Row, at_most
from benchmarks.served import Served, running_agent
from benchmarks.subject import Subject, running_subject


async def run(bench: Bench) -> Sequence[Row]:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        load = await enter(running_subject("benchmarks.load"))
        model = await enter(running_subject("benchmarks.in_process", await enter(bench.database()), "stock"))
        agent = await enter(running_agent(await enter(bench.database()), graph="tokens"))
        bench.say("2,000 tokens, one every half millisecond")
        variants = {
            "the model alone": partial(by_itself, model),
            "streamed over A2A": partial(stream, load, agent),
        }
        samples = await bench.rounds(variants, unit="s")
    ratios = samples.ratios("streamed over A2A", "the model alone")
    return [Row("2,000 streamed tokens ÷ the model's own time for them", at_most(1.2), ratios)]


async def by_itself(model: Subject) -> float:
    return float((await model.ask(do="tokens"))["seconds"])


async def stream(load: Subject, agent: Served) -> float:
    answer = await load.ask(do="stream", host=agent.host, port=agent.port, text="go")
    assert answer["bytes"] > 2_000 * len("token "), "not everything came"
    return float(answer["seconds"])
