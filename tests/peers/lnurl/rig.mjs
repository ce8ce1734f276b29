// A real server of LNURL-pay (lnurl) at a Lightning address of its own. Invoices are its parent's to make.
//
// Lines of JSON: first `{"uri": the address}` on standard output; then for each invoice `{"id", "method", "params"}`, which
// the parent answers on standard input with `{"id", "result" | "error"}`. It ends when its standard input does.

import { createServer } from "node:http";
import { createInterface } from "node:readline";

// It warns of its store in memory where our lines are.
console.log = console.error;
console.warn = console.error;
const { default: lnurl } = await import("lnurl");

const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
const waiting = new Map();
let asked = 0;

const server = lnurl.createServer({ listen: false, lightning: { backend: "dummy", config: {} } });
// Its own backend makes invoices that nobody can pay.
server.ln.addInvoice = (amount, { descriptionHash }) => {
  const id = ++asked;
  say({ id, method: "make_invoice", params: { amount, description_hash: descriptionHash } });
  return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
};

// It serves links that it has drawn; a Lightning address is a name for one of them.
let secret;
const front = createServer((request, response) => {
  if (request.url === "/.well-known/lnurlp/alice") {
    request.url = `/lnurl?q=${secret}`;
  }
  server.app(request, response);
});
await new Promise((resolve) => front.listen(0, "127.0.0.1", resolve));
const host = `127.0.0.1:${front.address().port}`;
server.options.url = `http://${host}`;
const link = {
  minSendable: 1000,
  maxSendable: 100000000,
  metadata: JSON.stringify([["text/plain", "the scenarios"], ["text/identifier", `alice@${host}`]]),
  commentAllowed: 0,
};
({ secret } = await server.generateNewUrl("payRequest", link, { uses: 0 }));
say({ uri: `http://alice@${host}` });

for await (const line of createInterface({ input: process.stdin })) {
  const { id, result, error } = JSON.parse(line);
  const { resolve, reject } = waiting.get(id);
  waiting.delete(id);
  if (error) {
    reject(new Error(error.message));
  } else {
    resolve(result);
  }
}
process.exit(0);
