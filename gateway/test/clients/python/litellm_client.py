"""litellm as a client, with its provider for anything that speaks like OpenAI."""

import asyncio
import os

# Else it asks the network for prices when it is loaded.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm
from answers import Chunks, Place, take_answer, take_completion
from lines import Ask, Seen, serve

litellm.telemetry = False
litellm.suppress_debug_info = True


def options(ask: Ask) -> dict:
    return {
        "model": f"openai/{ask['model']}",
        "api_base": f"{ask['baseUrl']}/v1",
        "api_key": ask["key"],
        "max_retries": ask["retries"],
        "timeout": ask["timeoutMs"] / 1000,
    }


def chat_fields(ask: Ask) -> dict:
    fields = {**options(ask), **ask["fields"]}
    if ask["shaped"]:
        fields["response_format"] = Place
    if ask["stream"]:
        fields["stream"] = True
        if ask["usage"]:
            fields["stream_options"] = {"include_usage": True}
    return fields


async def perform(ask: Ask, seen: Seen) -> None:
    if ask.get("leaves") == "when-told":
        await litellm.acompletion(**chat_fields(ask))
    elif ask.get("leaves") == "first-text":
        await leave_stream(ask, seen)
    else:
        await asyncio.to_thread(perform_plainly, ask, seen)


async def leave_stream(ask: Ask, seen: Seen) -> None:
    chunks = Chunks(seen)
    stream = await litellm.acompletion(**chat_fields(ask))
    async for chunk in stream:
        chunks.take(chunk)
        if seen["pieces"] > 0:
            await stream.aclose()
            return


def perform_plainly(ask: Ask, seen: Seen) -> None:
    if ask["call"] == "embeddings":
        answer = litellm.embedding(**options(ask), input=ask["fields"]["input"])
        seen["vectors"] = [entry["embedding"] for entry in answer.data]
        seen["requestId"] = request_id(answer)
    elif ask["call"] == "rerank":
        rerank(ask, seen)
    elif ask["call"] == "models":
        seen["models"] = litellm.get_valid_models(
            check_provider_endpoint=True, custom_llm_provider="openai", api_key=ask["key"], api_base=ask["baseUrl"]
        )
    elif ask["call"] == "completion":
        fields = {**options(ask), "model": f"text-completion-openai/{ask['model']}"}
        answer = litellm.text_completion(**fields, prompt=ask["fields"]["prompt"], stream=ask["stream"])
        take_completion(answer if ask["stream"] else [answer], seen)
    elif ask["stream"]:
        chunks = Chunks(seen)
        stream = litellm.completion(**chat_fields(ask))
        seen["requestId"] = request_id(stream)
        for chunk in stream:
            chunks.take(chunk)
        chunks.end()
    else:
        answer = litellm.completion(**chat_fields(ask))
        take_answer(answer, seen)
        seen["requestId"] = request_id(answer)
        if ask["shaped"]:
            seen["parsed"] = Place.model_validate_json(answer.choices[0].message.content).model_dump()


def rerank(ask: Ask, seen: Seen) -> None:
    # Its provider for OpenAI has no rerank; the one for vLLM asks the same route.
    answer = litellm.rerank(
        model=f"hosted_vllm/{ask['model']}",
        api_base=f"{ask['baseUrl']}/v1",
        api_key=ask["key"],
        query=ask["fields"]["query"],
        documents=ask["fields"]["documents"],
    )
    seen["ranking"] = [result["index"] for result in answer.results]


def request_id(answer) -> str | None:
    headers = (getattr(answer, "_hidden_params", None) or {}).get("additional_headers") or {}
    return headers.get("llm_provider-x-request-id")


def describe(error: BaseException) -> Seen:
    response = getattr(error, "response", None)
    return {
        "status": getattr(error, "status_code", None),
        "code": getattr(error, "code", None),
        "param": getattr(error, "param", None),
        "requestId": response.headers.get("x-request-id") if response is not None else None,
    }


serve(perform, describe)
