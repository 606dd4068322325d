// OpenAI's JavaScript client against a running server: arguments are the address, API_KEY the key.
import assert from "node:assert/strict";
import OpenAI, { toFile } from "openai";

const address = process.argv[2];
const client = new OpenAI({ baseURL: `${address}/v1`, apiKey: process.env.API_KEY, maxRetries: 0 });
const prompt = "A lighthouse at first light";
const messages = [{ role: "user", content: "Say hello to the harbour" }];

const made = await client.images.generate({ model: "nano-banana", prompt });
assert.equal(made.credits.used, 0.5);
const image = Buffer.from(made.data[0].b64_json, "base64");
assert.equal(image.subarray(1, 4).toString(), "PNG");

const files = [await toFile(image, "a.png"), await toFile(image, "b.png")];
const edited = await client.images.edit({ model: "gpt-image", image: files, prompt: "Evening", quality: "low" });
assert.equal(edited.credits.used, 1);

const events = [];
for await (const event of await client.images.generate({ model: "nano-banana", prompt, stream: true, partial_images: 2 })) {
  events.push(event);
}
assert.deepEqual(events.map((event) => event.type), [
  "image_generation.partial_image",
  "image_generation.partial_image",
  "image_generation.completed",
]);
assert.equal(events[2].credits.used, 0.5);

const answer = await client.chat.completions.create({ model: "gpt-6-luna", messages });
assert.match(answer.choices[0].message.content, /harbour/);
assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens);
assert.ok(answer.credits.used > 0);

let text = "";
let last;
const stream = client.chat.completions.stream({ model: "gpt-6-luna", messages, stream_options: { include_usage: true } });
for await (const chunk of stream) {
  text += chunk.choices[0]?.delta.content ?? "";
  last = chunk;
}
assert.equal((await stream.finalChatCompletion()).choices[0].message.content, text);
assert.equal((await stream.totalUsage()).total_tokens, last.usage.total_tokens);
assert.ok(last.credits.used > 0);

const speech = await client.audio.speech.create({ model: "gpt-4o-mini-tts", voice: "coral", input: "Hello" });
assert.equal(speech.headers.get("Content-Type"), "audio/mpeg");
assert.ok((await speech.arrayBuffer()).byteLength > 1000);

const asked = { model: "text-embedding-3-small", input: ["a quay", "a crane"] };
const packed = await client.embeddings.create(asked);
const plain = await client.embeddings.create({ ...asked, encoding_format: "float" });
packed.data.forEach((each, index) => {
  each.embedding.forEach((number, place) => {
    assert.ok(Math.abs(number - plain.data[index].embedding[place]) < 1e-6);
  });
});

const ids = [];
for await (const model of client.models.list()) ids.push(model.id);
assert.ok(ids.includes("gpt-image"));
assert.equal((await client.models.retrieve("gpt-image")).prices[0].byQuality.high, 8);

async function refused(call, kind, code, param) {
  await assert.rejects(call, (error) => {
    assert.ok(error instanceof kind, `${error}`);
    assert.deepEqual([error.code, error.param], [code, param]);
    assert.ok(error.requestID);
    return true;
  });
}
await refused(client.images.generate({ prompt, background: "transparent" }), OpenAI.BadRequestError, "unsupported_parameter", "background");
await refused(client.images.generate({ prompt, model: "dall-e-9" }), OpenAI.NotFoundError, "model_not_found", "model");
await refused(client.images.generate({ prompt, n: 99 }), OpenAI.UnprocessableEntityError, "validation_failed", "n");
await refused(client.images.generate({ prompt, maxCredits: 0.1 }), OpenAI.APIError, "max_credits_exceeded", null);
await refused(client.post("/responses", { body: {} }), OpenAI.NotFoundError, "not_found", null);
const stranger = new OpenAI({ baseURL: `${address}/v1`, apiKey: "cak_wrong", maxRetries: 0 });
await refused(stranger.models.list(), OpenAI.AuthenticationError, "token_invalid", null);

// The first answer is lost on its way: the client asks again with the same key, and pays once.
let calls = 0;
const careful = new OpenAI({
  baseURL: `${address}/v1`,
  apiKey: process.env.API_KEY,
  fetch: async (...request) => {
    const answered = await fetch(...request);
    calls += 1;
    if (calls > 1) return answered;
    await answered.arrayBuffer();
    throw new TypeError("the connection broke");
  },
});
const keyed = { headers: { "Idempotency-Key": "order-17" } };
const { data, response } = await careful.images.generate({ model: "nano-banana", prompt }, keyed).withResponse();
assert.equal(calls, 2);
assert.equal(response.headers.get("Idempotent-Replayed"), "true");
assert.equal(data.credits.used, 0.5);
console.log(JSON.stringify({ remaining: data.credits.remaining }));
