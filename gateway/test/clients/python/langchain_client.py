"""LangChain's classes for OpenAI: ChatOpenAI, OpenAI for text completions, OpenAIEmbeddings."""

import asyncio

from answers import Place, describe_openai
from langchain_core.messages import convert_to_messages
from langchain_openai import ChatOpenAI, OpenAI, OpenAIEmbeddings
from lines import Ask, Seen, serve


def chat_model(ask: Ask) -> ChatOpenAI:
    fields = ask["fields"]
    settings = {
        "max_completion_tokens": "max_completion_tokens",
        "temperature": "temperature",
        "seed": "seed",
        "n": "n",
        "logprobs": "logprobs",
    }
    return ChatOpenAI(
        base_url=f"{ask['baseUrl']}/v1",
        api_key=ask["key"],
        model=ask["model"],
        max_retries=ask["retries"],
        timeout=ask["timeoutMs"] / 1000,
        stream_usage=ask["usage"],
        include_response_headers=True,
        **{ours: fields[theirs] for theirs, ours in settings.items() if theirs in fields},
    )


async def perform(ask: Ask, seen: Seen) -> None:
    if ask.get("leaves") == "when-told":
        await chat_model(ask).ainvoke(ask["fields"]["messages"])
    else:
        await asyncio.to_thread(perform_plainly, ask, seen)


def perform_plainly(ask: Ask, seen: Seen) -> None:
    if ask["call"] == "embeddings":
        embed(ask, seen)
        return
    if ask["call"] == "completion":
        complete(ask, seen)
        return
    model = chat_model(ask)
    messages = ask["fields"]["messages"]
    if ask["shaped"]:
        shaped = model.with_structured_output(Place, method="json_schema", include_raw=True)
        answer = shaped.invoke(messages)
        if answer["parsing_error"] is not None:
            raise answer["parsing_error"]
        seen["parsed"] = answer["parsed"].model_dump()
        take_message(answer["raw"], seen)
        return
    runnable = model.bind_tools(ask["fields"]["tools"]) if "tools" in ask["fields"] else model
    if ask["stream"]:
        read_stream(runnable, ask, seen)
    elif ask["fields"].get("n", 1) > 1:
        generations = model.generate([convert_to_messages(messages)]).generations[0]
        take_message(generations[0].message, seen)
        seen["texts"] = [generation.text for generation in generations]
        seen["finishes"] = [generation.generation_info["finish_reason"] for generation in generations]
    else:
        take_message(runnable.invoke(messages), seen)


def read_stream(runnable, ask: Ask, seen: Seen) -> None:
    whole = None
    seen["pieces"] = 0
    stream = runnable.stream(ask["fields"]["messages"])
    for chunk in stream:
        whole = chunk if whole is None else whole + chunk
        seen["texts"] = [whole.text]
        seen["requestId"] = request_id(whole)
        seen["pieces"] += 1 if chunk.text else 0
        if ask.get("leaves") == "first-text" and chunk.text:
            stream.close()
            return
    take_message(whole, seen)


def complete(ask: Ask, seen: Seen) -> None:
    model = OpenAI(base_url=f"{ask['baseUrl']}/v1", api_key=ask["key"], model=ask["model"], max_retries=ask["retries"])
    prompt = ask["fields"]["prompt"]
    seen["texts"] = ["".join(model.stream(prompt)) if ask["stream"] else model.invoke(prompt)]
    seen["ended"] = True


def take_message(message, seen: Seen) -> None:
    metadata = message.response_metadata
    seen["texts"] = [message.text]
    seen["finishes"] = [metadata.get("finish_reason")]
    seen["ids"] = [message.id if metadata.get("id") is None else metadata["id"]]
    seen["requestId"] = request_id(message)
    seen["toolCalls"] = [{"id": call["id"], "name": call["name"], "input": call["args"]} for call in message.tool_calls]
    if usage := message.usage_metadata:
        seen["usage"] = {"prompt": usage["input_tokens"], "completion": usage["output_tokens"]}
    if logprobs := metadata.get("logprobs"):
        seen["logprobs"] = [entry["token"] for entry in logprobs["content"]]
    seen["reasoning"] = message.additional_kwargs.get("reasoning_content")
    seen["ended"] = True


def request_id(message) -> str | None:
    return message.response_metadata.get("headers", {}).get("x-request-id")


def embed(ask: Ask, seen: Seen) -> None:
    # Without the check it would count tokens by a table that it fetches from elsewhere.
    model = OpenAIEmbeddings(
        base_url=f"{ask['baseUrl']}/v1",
        api_key=ask["key"],
        model=ask["model"],
        max_retries=ask["retries"],
        check_embedding_ctx_length=False,
    )
    seen["vectors"] = model.embed_documents(ask["fields"]["input"])


serve(perform, describe_openai)
