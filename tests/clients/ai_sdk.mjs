// What Vercel's AI SDK finds through both of its providers, printed as one JSON object.
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, Output, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const at = { baseURL: process.env.OPENAI_BASE_URL, apiKey: process.env.OPENAI_API_KEY };
const compatible = createOpenAICompatible({
  name: "turnpike",
  includeUsage: true,
  supportsStructuredOutputs: true,
  ...at,
});
const prompt = "hello";

async function found(model) {
  const whole = await generateText({ model, prompt });
  const stream = streamText({ model, prompt });
  let streamed = "";
  for await (const piece of stream.textStream) streamed += piece;
  const cities = [];
  const weather = tool({
    description: "the weather of a city",
    inputSchema: z.object({ city: z.string() }),
    execute: async ({ city }) => {
      cities.push(city);
      return "sunny";
    },
  });
  const looped = await generateText({
    model,
    prompt,
    tools: { weather },
    stopWhen: stepCountIs(3),
  });
  const schema = z.object({ city: z.string(), days: z.number() });
  const made = await generateText({ model, prompt, output: Output.object({ schema }) });
  return {
    id: whole.response.id,
    model: whole.response.modelId,
    text: whole.text,
    tokens: whole.usage.totalTokens,
    streamed,
    streamed_tokens: (await stream.usage).totalTokens,
    cities,
    then: looped.text,
    trip: made.output,
  };
}

console.log(
  JSON.stringify({
    openai: await found(createOpenAI(at).chat("auto")),
    compatible: await found(compatible.chatModel("auto")),
  }),
);
