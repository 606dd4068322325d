// The client of the Model Context Protocol's own SDK: node mcp.mjs ADDRESS, with API_KEY.
import assert from "node:assert/strict";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const [address] = process.argv.slice(2);
const headers = { Authorization: `Bearer ${process.env.API_KEY}` };
const transport = new StreamableHTTPClientTransport(new URL(`${address}/mcp`), { requestInit: { headers } });
const client = new Client({ name: "interop", version: "1" });
await client.connect(transport);
assert.equal(transport.sessionId, undefined, "no session");
assert.equal(client.getServerVersion().name, "creditapp");
assert.ok(client.getInstructions().includes("maxCredits"));
await client.ping();

// The client checks each structured answer against the schema that the tool declares.
const { tools } = await client.listTools();
assert.deepEqual(
  tools.map((tool) => tool.name),
  ["list_models", "quote", "generate", "get_generation", "balance"],
);
const call = (name, args = {}) => client.callTool({ name, arguments: args });

const models = (await call("list_models")).structuredContent;
assert.ok(models.operations.some((operation) => operation.operation === "text-to-image"));

const order = { prompt: "a quay at first light", model: "nano-banana", n: 2 };
const quote = (await call("quote", order)).structuredContent;
assert.equal(quote.cost, 1);

const keyed = { ...order, maxCredits: quote.cost, idempotencyKey: "interop-1" };
const made = await call("generate", keyed);
assert.equal(made.structuredContent.status, "succeeded");
assert.deepEqual(made._meta.credits, { used: 1, remaining: 49 });
const images = made.content.filter((each) => each.type === "image");
assert.equal(images.length, 2);
assert.equal(Buffer.from(images[0].data, "base64").subarray(1, 4).toString(), "PNG");
const link = made.content.find((each) => each.type === "resource_link");
const file = await fetch(link.uri, { headers });
assert.equal(file.status, 200);
assert.equal(file.headers.get("content-type"), "image/png");

const again = await call("generate", keyed);
assert.equal(again.structuredContent.id, made.structuredContent.id);
assert.equal((await call("get_generation", { id: made.structuredContent.id })).structuredContent.progress, 100);

const dear = await call("generate", { ...order, maxCredits: 0.5 });
assert.equal(dear.isError, true);
assert.equal(dear._meta.code, "max_credits_exceeded");
await assert.rejects(call("charge"), /tools/);
await assert.rejects(client.listResources(), /-32601/);

const { balance } = (await call("balance")).structuredContent;
await client.close();
console.log(JSON.stringify({ balance, id: made.structuredContent.id }));
