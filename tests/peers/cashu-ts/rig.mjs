// A wallet (@cashu/cashu-ts) that pays with the ecash of the mints beside it, driven by lines of JSON.
//
// For each line on standard input it writes one on standard output: `{"mint": url, "amount", …}` is answered with
// `{"token", "secrets"}`, or with `{"error"}`. `fees` adds what spending it costs; `lock` is a public key, and `tags` are
// those of NUT-11; without `dleq` the token goes without its proofs; `legacy` writes cashuA. `{"request": text}` is
// answered with what the payment request says. It ends with its input.

import { createInterface } from "node:readline";
import { decodePaymentRequest, getEncodedToken, P2PKBuilder, Wallet } from "@cashu/cashu-ts";
import { getEncodedToken as getEncodedTokenBefore4 } from "cashu-ts-3";

const FLOAT_SAT = 100_000;
const wallets = new Map();

/** A wallet and its proofs, of at least so much. */
async function funded(mint, amount) {
  if (!wallets.has(mint)) {
    const wallet = new Wallet(mint, { unit: "sat" });
    await wallet.loadMint();
    wallets.set(mint, { wallet, proofs: [] });
  }
  const purse = wallets.get(mint);
  const held = purse.proofs.reduce((sum, proof) => sum + Number(proof.amount), 0);
  if (held < amount + 1000) {
    const quote = await purse.wallet.createMintQuoteBolt11(FLOAT_SAT);
    purse.proofs.push(...(await purse.wallet.mintProofsBolt11(FLOAT_SAT, quote)));
  }
  return purse;
}

/** The lock as this library takes it. */
function options(lock, tags) {
  const built = new P2PKBuilder().addLockPubkey(lock);
  for (const [name, ...values] of tags) {
    if (name === "locktime") built.lockUntil(Number(values[0]));
    else if (name === "refund") built.addRefundPubkey(values);
    else if (name === "pubkeys") built.addLockPubkey(values);
    else if (name === "n_sigs") built.requireLockSignatures(Number(values[0]));
    else throw new Error(`no such tag: ${name}`);
  }
  return built.toOptions();
}

async function token({ mint, amount, fees, lock, tags = [], dleq = true, legacy }) {
  const purse = await funded(mint, amount);
  const builder = purse.wallet.ops.send(amount, purse.proofs);
  if (fees) builder.includeFees();
  if (lock) builder.asP2PK(options(lock, tags));
  const { keep, send } = await builder.run();
  purse.proofs = keep;
  const made = { mint, proofs: send, unit: "sat" };
  const before4 = { ...made, proofs: send.map((proof) => ({ ...proof, amount: Number(proof.amount) })) };
  const text = legacy
    ? getEncodedTokenBefore4(before4, { version: 3, removeDleq: !dleq })
    : getEncodedToken(made, { removeDleq: !dleq });
  return { token: text, secrets: send.map((proof) => proof.secret) };
}

function request({ request: text }) {
  const { amount, unit, mints, nut10 } = decodePaymentRequest(text);
  return { amount: Number(amount), unit, mints, lock: nut10?.data ?? null };
}

for await (const line of createInterface({ input: process.stdin })) {
  let answer;
  try {
    const ask = JSON.parse(line);
    answer = ask.request ? request(ask) : await token(ask);
  } catch (error) {
    answer = { error: String(error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
