// Buys with the Agent Commerce Kit's own code: verifies our tokens through did:web, and forges receipts.
import {
  createDidKeyUri,
  createJwt,
  createJwtSigner,
  createPaymentReceipt,
  generateKeypair,
  getDidResolver,
  signCredential,
  verifyPaymentReceipt,
  verifyPaymentRequestToken,
} from "agentcommercekit"

const site = process.argv[2]
const resolver = getDidResolver()

async function post(path, body) {
  const answer = await fetch(site + path, {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "*/*" },
    body: JSON.stringify(body),
  })
  return { status: answer.status, type: answer.headers.get("content-type"), text: await answer.text() }
}

const offer = await post("/images/buy", { count: 3 })
const { paymentRequest, parsed } = await verifyPaymentRequestToken(offer.text, { resolver })

const [option] = paymentRequest.paymentOptions
const token = { paymentRequestToken: offer.text, paymentOptionId: option.id }
await fetch(option.paymentService, {
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify(token),
})
const payer = await generateKeypair("Ed25519")
const payerDid = createDidKeyUri(payer)
const payload = await createJwt(token, { issuer: payerDid, signer: createJwtSigner(payer) }, { alg: "EdDSA" })
const issued = await fetch(option.receiptService, {
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify({ payload }),
})
const { receipt } = await issued.json()
const verified = await verifyPaymentReceipt(receipt, {
  resolver,
  trustedReceiptIssuers: [parsed.issuer],
  paymentRequestIssuer: parsed.issuer,
})

const image = await post("/images/generate", { receipt, name: "Abraham Lincoln" })

async function forge(curve, alg) {
  const keypair = await generateKeypair(curve)
  const did = createDidKeyUri(keypair)
  const credential = createPaymentReceipt({ ...token, issuer: did, payerDid: did })
  const forged = await signCredential(credential, { did, signer: createJwtSigner(keypair), alg })
  return await post("/images/generate", { receipt: typeof forged === "string" ? forged : forged.jwt, name: "Abraham Lincoln" })
}

const forged = []
for (const [curve, alg] of [["Ed25519", "EdDSA"], ["secp256k1", "ES256K"], ["secp256r1", "ES256"]]) {
  const answer = await forge(curve, alg)
  forged.push([answer.status, JSON.parse(answer.text).code])
}

console.log(
  JSON.stringify({
    offer: [offer.status, offer.type],
    issuer: parsed.issuer,
    description: paymentRequest.description,
    option,
    paymentRequestId: paymentRequest.id,
    payerIsNamed: verified.receipt.credentialSubject.id === payerDid,
    receiptIssuer: verified.receipt.issuer.id,
    receiptRequest: verified.paymentRequest.id,
    receiptOption: verified.receipt.credentialSubject.paymentOptionId,
    image: [image.status, image.type],
    forged,
  }),
)
