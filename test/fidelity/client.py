"""What a program on OpenAI's Python SDK does, for every dialect. Arguments: base URL, then one JSON list of rows with
the model names for each behaviour. Prints one line of JSON for each row; raises where an SDK helper does."""

import json
import sys

from openai import OpenAI
from pydantic import BaseModel


class Weather(BaseModel):
    city: str
    days: int


TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tells the weather.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


def ask(text):
    return [{"role": "user", "content": text}]


def run(client, row):
    said = {}
    whole = client.chat.completions.create(model=row["echo"], messages=ask("Hello there"))
    said["text"] = whole.choices[0].message.content
    with client.chat.completions.stream(model=row["echo"], messages=ask("Hello there")) as stream:
        for _ in stream:
            pass
        said["streamed"] = stream.get_final_completion().choices[0].message.content

    parsed = client.chat.completions.parse(
        model=row["json"], messages=ask("weather"), response_format=Weather
    )
    said["parsed"] = type(parsed.choices[0].message.parsed).__name__

    messages = ask("weather?")
    with client.chat.completions.stream(
        model=row["tools"], messages=messages, tools=[TOOL]
    ) as stream:
        for _ in stream:
            pass
        message = stream.get_final_completion().choices[0].message
    call = message.tool_calls[0]
    json.loads(call.function.arguments)
    said["called"] = call.function.name
    messages.append(message.model_dump(exclude_none=True, exclude={"parsed"}))
    for each in messages[-1]["tool_calls"]:
        each["function"].pop("parsed_arguments", None)
    messages.append({"role": "tool", "tool_call_id": call.id, "content": "sunny"})
    done = client.chat.completions.create(model=row["tools"], messages=messages, tools=[TOOL])
    said["told"] = done.choices[0].message.content

    with client.responses.stream(model=row["echo"], input="Hello there") as stream:
        for _ in stream:
            pass
        said["responded"] = stream.get_final_response().output_text
    response = client.responses.parse(model=row["json"], input="weather", text_format=Weather)
    said["response_parsed"] = type(response.output_parsed).__name__
    return said


if __name__ == "__main__":
    gateway = OpenAI(base_url=sys.argv[1], api_key="dummy-key", max_retries=0)
    for each in json.loads(sys.argv[2]):
        print(json.dumps(run(gateway, each)))
