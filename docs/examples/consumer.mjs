// Reads a queue of Loket and prints each event as one line of JSON. Needs Node 18 or later and node-redis 5
// (npm install redis@5).
//
// REDIS_URL=redis://dinas-pu:secret@127.0.0.1:6379 QUEUE=dinas-pu CONSUMER=core-1 node consumer.mjs [--once]
//
// --once works off what is there and ends. SIGTERM ends it after the event in hand. The rules: docs/consumers.md.

import { setTimeout as sleep } from "node:timers/promises";
import { createClient } from "redis";

const GROUP = "core";
const MAX_DELIVERIES = 5;
const BATCH = 10, BLOCK_MS = 5_000;
// At least the longest lease or delay asked for over HTTP: with less we would take what is being worked on.
const ABANDONED_MS = 600_000, LOOK_FOR_ABANDONED_MS = 60_000;

const { REDIS_URL = "redis://127.0.0.1:6379", QUEUE, CONSUMER } = process.env;
const once = process.argv[2] === "--once";
if (!QUEUE || !CONSUMER || process.argv.length > (once ? 3 : 2)) {
  console.error("usage: [REDIS_URL=…] QUEUE=… CONSUMER=… consumer.mjs [--once]");
  process.exit(2);
}
const EVENTS = `loket:{q:${QUEUE}}:events`, DEAD = `loket:{q:${QUEUE}}:dead`;
const stop = new AbortController();
for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => stop.abort());
const stopping = () => stop.signal.aborted;
let redis, failures = 0;

// Your work. An event can come twice: store (ce_source, ce_id) under a unique key, together with the work.
async function handle(event) {
  const { ce_id: id, ce_type: type, ce_subject: subject } = event;
  if (!id || !type || !subject) throw new Error("ce_id, ce_type or ce_subject is missing");
  const line = JSON.stringify({ id, type, subject, data: JSON.parse(event.data) }) + "\n";
  // Done when it is written, not when it is buffered: what is acknowledged before that is lost in a crash.
  await new Promise((done, fail) => process.stdout.write(line, (error) => (error ? fail(error) : done())));
}

// A call that stays without an answer longer than BLOCK fails, and with it the connection. `socketTimeout` would also
// close a connection that is idle because the work takes its time.
const answer = (call) => {
  const late = sleep(BLOCK_MS + 5_000, undefined, { ref: false });
  return Promise.race([call, late.then(() => { throw new Error("no answer in time"); })]);
};

async function run() {
  await redeliverOwn();
  for (let lookAt = 0; !stopping();) {
    if (performance.now() >= lookAt) {
      await redeliverAbandoned();
      lookAt = performance.now() + LOOK_FOR_ABANDONED_MS;
    }
    const batch = await read(">", BATCH, once ? undefined : BLOCK_MS);
    failures = 0;
    for (const { id, message } of batch) {
      if (stopping()) return; // The rest stays pending and comes first after the restart.
      await settle(id, message, 1);
    }
    if (once && batch.length === 0) return;
  }
}

async function read(after, COUNT, BLOCK) {
  // Not xReadGroup(): it throws on an entry that was deleted while pending, which has no fields left.
  const block = BLOCK ? ["BLOCK", String(BLOCK)] : [];
  const reply = await answer(redis.sendCommand(
    ["XREADGROUP", "GROUP", GROUP, CONSUMER, "COUNT", String(COUNT), ...block, "STREAMS", EVENTS, after]));
  return (reply?.[0][1] ?? []).map(([id, fields]) => {
    const message = {};
    for (let i = 0; i < fields?.length; i += 2) message[fields[i]] = fields[i + 1];
    return { id, message: fields && message };
  });
}

// Both redeliver one by one: to read is to count a delivery, and only the event in hand shall be counted.
async function redeliverOwn() {
  let after = "0", batch;
  while (!stopping() && (batch = await read(after, 1)).length > 0) {
    after = batch[0].id;
    await settle(after, batch[0].message, await deliveries(after));
  }
}

async function redeliverAbandoned() {
  for (let start = "-"; !stopping() && start !== "0-0";) {
    const claimed = await answer(redis.xAutoClaim(EVENTS, GROUP, CONSUMER, ABANDONED_MS, start, { COUNT: 1 }));
    start = claimed.nextId;
    for (const { id, message } of claimed.messages) await settle(id, message, await deliveries(id));
  }
}

async function deliveries(id) {
  const [pending] = await answer(redis.xPendingRange(EVENTS, GROUP, id, id, 1));
  return pending?.deliveriesCounter ?? 1;
}

async function settle(id, event, attempts) {
  try {
    if (attempts > MAX_DELIVERIES) {
      throw new Error(`delivered ${MAX_DELIVERIES} times, and the consumer ended each time`);
    }
    if (event) await handle(event);
  } catch (error) {
    console.error(`entry ${id}: delivery ${attempts} failed: ${error.name}`);
    if (attempts < MAX_DELIVERIES) return; // It stays pending, and comes again after ABANDONED_MS or a restart.
    const reason = error.message.slice(0, 500), dead_at = new Date().toISOString();
    await answer(redis.xAdd(DEAD, "*", { ...event, reason, attempts: String(attempts), dead_at }));
  }
  await answer(redis.xAck(EVENTS, GROUP, id));
}

while (!stopping()) {
  // The library does not reconnect by itself: an answer may have been lost with the connection, so we begin again with
  // what is pending.
  const socket = { connectTimeout: 5_000, reconnectStrategy: false };
  redis = createClient({ url: REDIS_URL, socket }).on("error", () => {}); // The call that fails reports it.
  try {
    await redis.connect();
    await run();
    break;
  } catch (error) {
    console.error(`redis: ${error.message || error}`);
    process.exitCode = once ? 1 : 0;
    if (once) break;
    await sleep(Math.min(2 ** failures++, 30) * 1000, undefined, { signal: stop.signal }).catch(() => {});
  } finally {
    if (redis.isOpen) redis.destroy();
  }
}
