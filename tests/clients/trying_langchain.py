"""What LangChain finds, printed as one JSON object; it knows no more than a URL."""

import asyncio
import json

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel


class Trip(BaseModel):
    """A journey."""

    city: str
    days: int


@tool
def weather(city: str) -> str:
    """Return the weather of a city."""
    return f"sunny in {city}"


def main() -> None:
    """Print what was found."""
    model = ChatOpenAI(model="auto", stream_usage=True)
    answer = model.invoke("hello")
    chunks = list(model.stream("hello"))
    tools = model.bind_tools([weather])
    called = tools.invoke("hello")
    turns = [HumanMessage("hello"), called]
    for call in called.tool_calls:
        turns.append(ToolMessage(weather.invoke(call["args"]), tool_call_id=call["id"]))
    found = {
        "text": answer.content,
        "id": answer.response_metadata["id"],
        "model": answer.response_metadata["model_name"],
        "tokens": answer.usage_metadata["total_tokens"],
        "streamed": "".join(str(chunk.content) for chunk in chunks),
        "streamed_tokens": [c.usage_metadata["total_tokens"] for c in chunks if c.usage_metadata],
        "cities": [call["args"]["city"] for call in called.tool_calls],
        "then": tools.invoke(turns).content,
        "trip": model.with_structured_output(Trip, method="json_schema").invoke("hi").model_dump(),
        "async": asyncio.run(model.ainvoke("hello")).content,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
