"""One JSON line for each thing to ask of a client, one for what it saw; `{"id": 1, "leave": true}` makes it leave."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

Ask = dict[str, Any]
Seen = dict[str, Any]

running: dict[int, asyncio.Task] = {}


def serve(perform: Callable[[Ask, Seen], Awaitable[None]], describe: Callable[[BaseException], Seen]) -> None:
    """Answers each ask by `perform`, which writes down what it sees as it goes, until stdin ends."""
    asyncio.run(read_lines(perform, describe))


async def read_lines(perform, describe) -> None:
    write({"ready": True})
    while line := await asyncio.to_thread(sys.stdin.readline):
        told = json.loads(line)
        if told.get("leave"):
            if told["id"] in running:
                running[told["id"]].cancel()
            continue
        running[told["id"]] = asyncio.create_task(answer(told["id"], told["ask"], perform, describe))


async def answer(number: int, ask: Ask, perform, describe) -> None:
    seen: Seen = {}
    try:
        await perform(ask, seen)
    except BaseException as error:
        seen["error"] = name(error) | describe(error)
    del running[number]
    write({"id": number, "seen": seen})


def name(error: BaseException) -> Seen:
    nothing = {"status": None, "code": None, "param": None, "requestId": None}
    return nothing | {"class": type(error).__name__, "message": str(error)}


def write(value: dict) -> None:
    print(json.dumps(value), flush=True)
