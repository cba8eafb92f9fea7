// What OpenAI's own Node client finds, printed as one JSON object; it knows no more than a URL.
import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

const client = new OpenAI();
const messages = [{ role: "user", content: "hello" }];
const asked = (more = {}) => client.chat.completions.create({ model: "auto", messages, ...more });

async function plain() {
  const { data, response } = await asked().withResponse();
  return {
    id: data.id,
    text: data.choices[0].message.content,
    header: response.headers.get("x-turnpike-decision-id"),
  };
}

async function streamed() {
  let text = "";
  for await (const chunk of await asked({ stream: true })) {
    text += chunk.choices[0].delta.content ?? "";
  }
  return text;
}

async function tools() {
  const cities = [];
  const runner = client.chat.completions.runTools({
    model: "auto",
    messages,
    tools: [
      {
        type: "function",
        function: {
          name: "weather",
          parameters: { type: "object", properties: { city: { type: "string" } } },
          parse: JSON.parse,
          function: ({ city }) => {
            cities.push(city);
            return "sunny";
          },
        },
      },
    ],
  });
  return { then: await runner.finalContent(), cities };
}

async function parsed() {
  const format = zodResponseFormat(z.object({ city: z.string(), days: z.number() }), "trip");
  const answer = await client.chat.completions.parse({
    model: "auto",
    messages,
    response_format: format,
  });
  return answer.choices[0].message.parsed;
}

async function failing(more) {
  try {
    const answer = await asked(more);
    if (more.stream) for await (const _ of answer);
  } catch (error) {
    return { status: error.status ?? null, code: error.code };
  }
}

console.log(
  JSON.stringify({
    plain: await plain(),
    streamed: await streamed(),
    tools: await tools(),
    parsed: await parsed(),
    listed: (await client.models.list()).data.map((model) => model.id),
    unknown_model: await failing({ model: "gpt-99" }),
    cut: await failing({ stream: true, messages: [{ role: "user", content: "break off" }] }),
  }),
);
