// A real wallet service (@getalby/sdk) behind a real relay (@nostr-relay/core). Invoices are its parent's to make.
//
// Lines of JSON: first `{"uri": …}` on standard output; then for each request `{"id", "method", "params"}`, which the
// parent answers on standard input with `{"id", "result" | "error"}`. A line `{"paid": transaction}` is told to the
// client as a notification. It ends when its standard input does.

import { createInterface } from "node:readline";
import { EventRepository } from "@nostr-relay/common";
import { NostrRelay } from "@nostr-relay/core";
import { finalizeEvent, generateSecretKey, getPublicKey, matchFilter, nip44 } from "nostr-tools";
import { WebSocket, WebSocketServer } from "ws";

// Node has its own from version 22 on.
globalThis.WebSocket ??= WebSocket;
const { NWCWalletService, NWCWalletServiceKeyPair } = await import("@getalby/sdk/nwc");

const hex = (bytes) => Buffer.from(bytes).toString("hex");
const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

/** Keeps events in memory; of replaceable ones the newest. */
class Memory extends EventRepository {
  events = [];

  isSearchSupported() {
    return false;
  }

  upsert(event) {
    if (this.events.some(({ id }) => id === event.id)) {
      return { isDuplicate: true };
    }
    const replaceable = event.kind >= 10000 && event.kind < 20000;
    this.events = this.events.filter(
      ({ kind, pubkey }) => !(replaceable && kind === event.kind && pubkey === event.pubkey),
    );
    this.events.push(event);
    return { isDuplicate: false };
  }

  find(filter) {
    return this.events.filter((event) => matchFilter(filter, event));
  }

  async destroy() {}
}

const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
const relay = new NostrRelay(new Memory());
server.on("connection", (socket) => {
  relay.handleConnection(socket);
  socket.on("message", (data) => {
    relay.handleMessage(socket, JSON.parse(data.toString())).catch((error) => console.error("relay:", error));
  });
  socket.on("close", () => relay.handleDisconnect(socket));
  socket.on("error", (error) => console.error("socket:", error));
});
await new Promise((resolve) => server.on("listening", resolve));
const url = `ws://127.0.0.1:${server.address().port}`;

const [walletSecret, clientSecret] = [generateSecretKey(), generateSecretKey()];
const clientKey = getPublicKey(clientSecret);
const waiting = new Map();
let asked = 0;

/** Asks the parent; its answer is the wallet's. */
function ask(method, params) {
  const id = ++asked;
  say({ id, method, params });
  return new Promise((resolve) => waiting.set(id, resolve));
}

const seen = new Set();
const service = new NWCWalletService({ relayUrls: [url] });
await service.publishWalletServiceInfoEvent(
  hex(walletSecret),
  ["get_info", "make_invoice", "lookup_invoice", "notifications"],
  ["payment_received"],
);
await service.subscribe(new NWCWalletServiceKeyPair(hex(walletSecret), clientKey), {
  recordEvent: async (id) => {
    const before = seen.has(id);
    seen.add(id);
    return before ? "ALREADY_PROCESSED" : "PROCESSED";
  },
  getInfo: () => ask("get_info", {}),
  makeInvoice: (params) => ask("make_invoice", params),
  lookupInvoice: (params) => ask("lookup_invoice", params),
});

/** The SDK's service has no notifications of its own. */
async function notify(transaction) {
  const text = JSON.stringify({ notification_type: "payment_received", notification: transaction });
  const key = nip44.getConversationKey(walletSecret, clientKey);
  const event = {
    kind: 23197,
    created_at: Math.floor(Date.now() / 1000),
    tags: [["p", clientKey]],
    content: nip44.encrypt(text, key),
  };
  await Promise.any(service.pool.publish([url], finalizeEvent(event, walletSecret)));
}

const relays = `relay=${encodeURIComponent(url)}`;
say({ uri: `nostr+walletconnect://${getPublicKey(walletSecret)}?${relays}&secret=${hex(clientSecret)}` });

for await (const line of createInterface({ input: process.stdin })) {
  const { id, paid, ...answer } = JSON.parse(line);
  if (paid) {
    await notify(paid);
  } else {
    waiting.get(id)?.(answer);
    waiting.delete(id);
  }
}
process.exit(0);
