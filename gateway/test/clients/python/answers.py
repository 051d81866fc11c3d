"""Reads OpenAI's own objects, which `openai` and `litellm` both give."""

import json
from collections.abc import Iterable
from typing import Any

import openai
from pydantic import BaseModel


class Place(BaseModel):
    """The form of a shaped answer."""

    city: str
    population: int


def take_answer(answer: Any, seen: dict) -> None:
    first = answer.choices[0].message
    seen["ids"] = [answer.id]
    seen["texts"] = [choice.message.content or "" for choice in answer.choices]
    seen["finishes"] = [choice.finish_reason for choice in answer.choices]
    seen["usage"] = usage_of(getattr(answer, "usage", None))
    seen["reasoning"] = reasoning_of(first)
    seen["logprobs"] = tokens_of(getattr(answer.choices[0], "logprobs", None))
    calls = getattr(first, "tool_calls", None) or []
    seen["toolCalls"] = [
        {"id": call.id, "name": call.function.name, "input": json.loads(call.function.arguments)} for call in calls
    ]
    seen["ended"] = True


def take_completion(answers: Iterable, seen: dict) -> None:
    """A text completion: one answer, or the chunks of a stream."""
    seen.update(texts=[""], finishes=[None], ids=[])
    for answer in answers:
        if answer.id not in seen["ids"]:
            seen["ids"].append(answer.id)
        for choice in answer.choices:
            seen["texts"][0] += choice.text or ""
            seen["finishes"][0] = choice.finish_reason or seen["finishes"][0]
    seen["ended"] = True


class Chunks:
    """A stream of chunks, put together as its reader would."""

    def __init__(self, seen: dict) -> None:
        self.seen = seen
        self.calls: dict[int, dict] = {}
        seen.update(ids=[], texts=[], finishes=[], pieces=0, usage=None, reasoning=None, logprobs=None, toolCalls=[])

    def take(self, chunk: Any) -> None:
        seen = self.seen
        if chunk.id not in seen["ids"]:
            seen["ids"].append(chunk.id)
        seen["usage"] = usage_of(getattr(chunk, "usage", None)) or seen["usage"]
        for choice in chunk.choices:
            while len(seen["texts"]) <= choice.index:
                seen["texts"].append("")
                seen["finishes"].append(None)
            if choice.delta.content:
                seen["texts"][choice.index] += choice.delta.content
                seen["pieces"] += 1
            if choice.finish_reason:
                seen["finishes"][choice.index] = choice.finish_reason
            if reasoning := reasoning_of(choice.delta):
                seen["reasoning"] = (seen["reasoning"] or "") + reasoning
            if tokens := tokens_of(getattr(choice, "logprobs", None)):
                seen["logprobs"] = (seen["logprobs"] or []) + tokens
            for call in getattr(choice.delta, "tool_calls", None) or []:
                self.take_call(call)

    def take_call(self, call: Any) -> None:
        known = self.calls.setdefault(call.index, {"id": "", "name": "", "text": ""})
        known["id"] = known["id"] or call.id or ""
        known["name"] = known["name"] or call.function.name or ""
        known["text"] += call.function.arguments or ""

    def end(self) -> None:
        self.seen["toolCalls"] = [
            {"id": call["id"], "name": call["name"], "input": json.loads(call["text"])} for call in self.calls.values()
        ]
        self.seen["ended"] = True


def usage_of(usage: Any) -> dict | None:
    return usage and {"prompt": usage.prompt_tokens, "completion": usage.completion_tokens}


def tokens_of(logprobs: Any) -> list[str] | None:
    content = getattr(logprobs, "content", None)
    return [entry.token for entry in content] if content else None


def reasoning_of(message: Any) -> str | None:
    """Under either name, as people read it."""
    return getattr(message, "reasoning_content", None) or getattr(message, "reasoning", None)


def describe_openai(error: BaseException) -> dict:
    """What an error of the `openai` package shows; nothing of any other."""
    if not isinstance(error, openai.APIError):
        return {}
    return {
        "status": getattr(error, "status_code", None),
        "code": error.code,
        "param": error.param,
        "requestId": getattr(error, "request_id", None),
    }
