#!/usr/bin/env python3
"""Reads a queue of Loket and prints each event as one line of JSON. Needs redis-py 5 or later (pip install redis).

REDIS_URL=redis://dinas-pu:secret@127.0.0.1:6379 QUEUE=dinas-pu CONSUMER=core-1 python3 consumer.py [--once]

--once works off what is there and ends. SIGTERM ends it after the event in hand. The rules: docs/consumers.md.
"""

import json
import os
import signal
import sys
import threading
import time
from datetime import datetime, timezone

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

GROUP = "core"
MAX_DELIVERIES = 5
BATCH, BLOCK_MS = 10, 5_000
# At least the longest lease or delay asked for over HTTP: with less we would take what is being worked on.
ABANDONED_MS, LOOK_FOR_ABANDONED_S = 600_000, 60

stop = threading.Event()


def handle(event):
    """Your work. An event can come twice: store (ce_source, ce_id) under a unique key, together with the work."""
    data = json.loads(event["data"])
    line = {"id": event["ce_id"], "type": event["ce_type"], "subject": event["ce_subject"], "data": data}
    print(json.dumps(line, ensure_ascii=False), flush=True)


class Consumer:
    def __init__(self, url, queue, name):
        # The socket waits longer than BLOCK. The library does not retry by itself: an answer may have been lost with
        # the connection, so we begin again with what is pending.
        self.redis = redis.Redis.from_url(
            url, protocol=2, decode_responses=True, encoding_errors="replace", socket_connect_timeout=5,
            socket_timeout=BLOCK_MS / 1000 + 5, retry=Retry(NoBackoff(), 0))
        self.events, self.dead, self.name = f"loket:{{q:{queue}}}:events", f"loket:{{q:{queue}}}:dead", name
        self.failures = 0

    def run(self, once):
        self.redeliver_own()
        look_at = 0
        while not stop.is_set():
            if time.monotonic() >= look_at:
                self.redeliver_abandoned()
                look_at = time.monotonic() + LOOK_FOR_ABANDONED_S
            batch = self.read(">", BATCH, None if once else BLOCK_MS)
            self.failures = 0
            for entry, event in batch:
                if stop.is_set():
                    return  # The rest stays pending and comes first after the restart.
                self.settle(entry, event, 1)
            if once and not batch:
                return

    def read(self, after, count, block=None):
        reply = self.redis.xreadgroup(GROUP, self.name, {self.events: after}, count=count, block=block)
        return reply[0][1] if reply else []

    # Both redeliver one by one: to read is to count a delivery, and only the event in hand shall be counted.
    def redeliver_own(self):
        after = "0"
        while not stop.is_set() and (batch := self.read(after, 1)):
            after, event = batch[0]
            self.settle(after, event, self.deliveries(after))

    def redeliver_abandoned(self):
        start = "-"
        while not stop.is_set() and start != "0-0":
            start, batch = self.redis.xautoclaim(self.events, GROUP, self.name, ABANDONED_MS, start, count=1)[:2]
            for entry, event in batch:
                self.settle(entry, event, self.deliveries(entry))

    def deliveries(self, entry):
        pending = self.redis.xpending_range(self.events, GROUP, entry, entry, 1)
        return pending[0]["times_delivered"] if pending else 1

    def settle(self, entry, event, attempts):
        try:
            if attempts > MAX_DELIVERIES:
                raise RuntimeError(f"delivered {MAX_DELIVERIES} times, and the consumer ended each time")
            if event:  # An entry that was deleted while pending has no fields left.
                handle(event)
        except Exception as error:
            print(f"entry {entry}: delivery {attempts} failed: {type(error).__name__}", file=sys.stderr)
            if attempts < MAX_DELIVERIES:
                return  # It stays pending, and comes again after ABANDONED_MS or a restart.
            now = datetime.now(timezone.utc).isoformat()
            self.redis.xadd(self.dead, event | {"reason": str(error)[:500], "attempts": attempts, "dead_at": now})
        self.redis.xack(self.events, GROUP, entry)


def main():
    queue, name, once = os.environ.get("QUEUE"), os.environ.get("CONSUMER"), sys.argv[1:] == ["--once"]
    if not queue or not name or (sys.argv[1:] and not once):
        print("usage: [REDIS_URL=…] QUEUE=… CONSUMER=… consumer.py [--once]", file=sys.stderr)
        sys.exit(2)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    consumer = Consumer(os.environ.get("REDIS_URL", "redis://127.0.0.1:6379"), queue, name)
    while not stop.is_set():
        try:
            return consumer.run(once)
        except redis.RedisError as error:
            print(f"redis: {error}", file=sys.stderr)
            if once:
                sys.exit(1)
            stop.wait(min(2**consumer.failures, 30))
            consumer.failures += 1


if __name__ == "__main__":
    main()
