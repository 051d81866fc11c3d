"""OpenAI's own package for Python: the plain client, and the async one where the caller leaves before the head."""

import asyncio

import openai
from answers import Chunks, Place, describe_openai, take_answer, take_completion
from lines import Ask, Seen, serve


def options(ask: Ask) -> dict:
    return {
        "base_url": f"{ask['baseUrl']}/v1",
        "api_key": ask["key"],
        "max_retries": ask["retries"],
        "timeout": ask["timeoutMs"] / 1000,
    }


def chat_fields(ask: Ask) -> dict:
    fields = {"model": ask["model"], **ask["fields"]}
    if ask["stream"]:
        fields["stream"] = True
        if ask["usage"]:
            fields["stream_options"] = {"include_usage": True}
    return fields


async def perform(ask: Ask, seen: Seen) -> None:
    if ask.get("leaves") == "when-told":
        async with openai.AsyncOpenAI(**options(ask)) as client:
            await client.chat.completions.create(**chat_fields(ask))
    else:
        await asyncio.to_thread(perform_plainly, ask, seen)


def perform_plainly(ask: Ask, seen: Seen) -> None:
    with openai.OpenAI(**options(ask)) as client:
        if ask["call"] == "models":
            seen["models"] = [model.id for model in client.models.list()]
        elif ask["call"] == "model":
            seen["models"] = [client.models.retrieve(ask["model"]).id]
        elif ask["call"] == "embeddings":
            answer = client.embeddings.with_raw_response.create(model=ask["model"], input=ask["fields"]["input"])
            seen["vectors"] = [entry.embedding for entry in answer.parse().data]
            seen["requestId"] = answer.request_id
        elif ask["call"] == "completion":
            fields = {"model": ask["model"], "prompt": ask["fields"]["prompt"], "stream": ask["stream"]}
            answer = client.completions.create(**fields)
            take_completion(answer if ask["stream"] else [answer], seen)
        elif ask["stream"]:
            read_stream(client, ask, seen)
        else:
            read_answer(client, ask, seen)


def read_answer(client: openai.OpenAI, ask: Ask, seen: Seen) -> None:
    if ask["shaped"]:
        answer = client.chat.completions.parse(**chat_fields(ask), response_format=Place)
        seen["parsed"] = answer.choices[0].message.parsed.model_dump()
    else:
        answer = client.chat.completions.create(**chat_fields(ask))
    seen["requestId"] = answer._request_id
    take_answer(answer, seen)


def read_stream(client: openai.OpenAI, ask: Ask, seen: Seen) -> None:
    answer = client.chat.completions.with_raw_response.create(**chat_fields(ask))
    seen["requestId"] = answer.request_id
    chunks = Chunks(seen)
    with answer.parse() as stream:
        for chunk in stream:
            chunks.take(chunk)
            if ask.get("leaves") == "first-text" and seen["pieces"] > 0:
                return
    chunks.end()


serve(perform, describe_openai)
