// Buys image credits with @x402/fetch and makes images with the receipt; prints what happened as JSON.
// node x402.mjs ADDRESS COUNT [IMAGES]; PRIVATE_KEY, and MAX: the most that the wallet may pay, such as $5.
import { decodePaymentResponseHeader, wrapFetchWithPayment, x402Client, x402HTTPClient } from "@x402/fetch";
import { registerExactEvmScheme } from "@x402/evm/exact/client";
import { privateKeyToAccount } from "viem/accounts";

const [address, count, images] = process.argv.slice(2);
const client = new x402Client();
registerExactEvmScheme(client, { signer: privateKeyToAccount(process.env.PRIVATE_KEY) });
if (process.env.MAX) client.setSpendControls({ maxAmountPerPayment: process.env.MAX });

let sent = null;
const recordingFetch = async (input, init) => {
  const request = new Request(input, init);
  sent = request.headers.get("PAYMENT-SIGNATURE") ?? sent;
  return fetch(request);
};
const json = { "Content-Type": "application/json" };
const post = (path, body, headers = {}) => ({
  url: `${address}${path}`,
  init: { method: "POST", headers: { ...json, ...headers }, body: JSON.stringify(body) },
});
const buy = post("/api/images/buy", { count: Number(count) });

const result = { refusedByWallet: null };
let bought;
try {
  bought = await wrapFetchWithPayment(recordingFetch, client)(buy.url, buy.init);
} catch (error) {
  result.refusedByWallet = error.message;
  console.log(JSON.stringify(result));
  process.exit(0);
}
result.status = bought.status;
result.cacheControl = bought.headers.get("Cache-Control");
result.body = await bought.json().catch(() => null);
const settled = bought.headers.get("PAYMENT-RESPONSE");
result.settled = settled && decodePaymentResponseHeader(settled);
result.signature = sent;

result.images = [];
for (let made = 0; made < Number(images ?? 0); made += 1) {
  const make = post("/api/images/generate", { receipt: result.body.receipt, prompt: `a lighthouse ${made}` });
  const image = await fetch(make.url, make.init);
  const bytes = await image.arrayBuffer();
  result.images.push({
    status: image.status,
    type: image.headers.get("Content-Type"),
    size: bytes.byteLength,
    remaining: image.headers.get("X-Credits-Remaining"),
  });
}

const again = post("/api/images/buy", { count: Number(count) }, { "PAYMENT-SIGNATURE": sent });
const replay = await fetch(again.url, again.init);
result.replay = { status: replay.status, body: await replay.json().catch(() => null) };

// A signature for this count does not pay for thirty, and then still pays for what it was signed for.
const offer = await fetch(buy.url, buy.init);
const http = new x402HTTPClient(client);
const required = http.getPaymentRequiredResponse((name) => offer.headers.get(name));
const signed = http.encodePaymentSignatureHeader(await client.createPaymentPayload(required));
const dearer = post("/api/images/buy", { count: 30 }, signed);
const thirty = await fetch(dearer.url, dearer.init);
const honest = post("/api/images/buy", { count: Number(count) }, signed);
result.thirty = { status: thirty.status, then: (await fetch(honest.url, honest.init)).status };
console.log(JSON.stringify(result));
