// Reads a queue of Loket and prints each event as one line of JSON. Needs go-redis 9:
//
//	go mod init consumer && go get github.com/redis/go-redis/v9 && go build
//	REDIS_URL=redis://dinas-pu:secret@127.0.0.1:6379 QUEUE=dinas-pu CONSUMER=core-1 ./consumer [--once]
//
// --once works off what is there and ends. SIGTERM ends it after the event in hand. The rules: docs/consumers.md.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	group         = "core"
	maxDeliveries = 5
	batch         = 10
	block         = 5 * time.Second
	// At least the longest lease or delay asked for over HTTP: with less we would take what is being worked on.
	abandoned        = 10 * time.Minute
	lookForAbandoned = time.Minute
)

type consumer struct {
	redis              *redis.Client
	events, dead, name string
	failures           int
	stop               context.Context
}

// Calls to Redis are not cancelled: what is in hand is finished, and a blocking read ends by itself.
var ctx = context.Background()

// Your work. An event can come twice: store (ce_source, ce_id) under a unique key, together with the work.
func handle(event map[string]any) error {
	line := struct {
		ID      any             `json:"id"`
		Type    any             `json:"type"`
		Subject any             `json:"subject"`
		Data    json.RawMessage `json:"data"`
	}{event["ce_id"], event["ce_type"], event["ce_subject"], json.RawMessage(fmt.Sprint(event["data"]))}
	if line.ID == nil || line.Type == nil || line.Subject == nil {
		return errors.New("ce_id, ce_type or ce_subject is missing")
	}
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	return out.Encode(line)
}

func (c *consumer) run(once bool) error {
	if err := c.redeliverOwn(); err != nil {
		return err
	}
	for lookAt := time.Now(); c.stop.Err() == nil; {
		if !time.Now().Before(lookAt) {
			if err := c.redeliverAbandoned(); err != nil {
				return err
			}
			lookAt = time.Now().Add(lookForAbandoned)
		}
		wait := block
		if once {
			wait = -1 // No BLOCK at all.
		}
		entries, err := c.read(">", batch, wait)
		if err != nil {
			return err
		}
		c.failures = 0
		for _, entry := range entries {
			if c.stop.Err() != nil {
				return nil // The rest stays pending and comes first after the restart.
			}
			if err := c.settle(entry, 1); err != nil {
				return err
			}
		}
		if once && len(entries) == 0 {
			return nil
		}
	}
	return nil
}

func (c *consumer) read(after string, count int64, wait time.Duration) ([]redis.XMessage, error) {
	streams, err := c.redis.XReadGroup(ctx, &redis.XReadGroupArgs{
		Group: group, Consumer: c.name, Streams: []string{c.events, after}, Count: count, Block: wait}).Result()
	if errors.Is(err, redis.Nil) || (err == nil && len(streams) == 0) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	return streams[0].Messages, nil
}

// Both redeliver one by one: to read is to count a delivery, and only the event in hand shall be counted.
func (c *consumer) redeliverOwn() error {
	for after := "0"; c.stop.Err() == nil; {
		entries, err := c.read(after, 1, -1)
		if err != nil || len(entries) == 0 {
			return err
		}
		after = entries[0].ID
		if err := c.redeliver(entries[0]); err != nil {
			return err
		}
	}
	return nil
}

func (c *consumer) redeliverAbandoned() error {
	for start := "-"; c.stop.Err() == nil && start != "0-0"; {
		entries, next, err := c.redis.XAutoClaim(ctx, &redis.XAutoClaimArgs{
			Stream: c.events, Group: group, Consumer: c.name, MinIdle: abandoned, Start: start, Count: 1}).Result()
		if err != nil {
			return err
		}
		start = next
		for _, entry := range entries {
			if err := c.redeliver(entry); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *consumer) redeliver(entry redis.XMessage) error {
	pending, err := c.redis.XPendingExt(ctx, &redis.XPendingExtArgs{
		Stream: c.events, Group: group, Start: entry.ID, End: entry.ID, Count: 1}).Result()
	if err != nil || len(pending) == 0 {
		return err
	}
	return c.settle(entry, pending[0].RetryCount)
}

func (c *consumer) settle(entry redis.XMessage, attempts int64) error {
	var failure error
	if attempts > maxDeliveries {
		failure = fmt.Errorf("delivered %d times, and the consumer ended each time", maxDeliveries)
	} else if len(entry.Values) > 0 { // An entry that was deleted while pending has no fields left.
		failure = handle(entry.Values)
	}
	if failure != nil {
		log.Printf("entry %s: delivery %d failed: %T", entry.ID, attempts, failure)
		if attempts < maxDeliveries {
			return nil // It stays pending, and comes again after `abandoned` or a restart.
		}
		dead := map[string]any{}
		for field, value := range entry.Values {
			dead[field] = value
		}
		dead["reason"] = fmt.Sprintf("%.500s", failure)
		dead["attempts"], dead["dead_at"] = attempts, time.Now().UTC().Format(time.RFC3339Nano)
		if err := c.redis.XAdd(ctx, &redis.XAddArgs{Stream: c.dead, Values: dead}).Err(); err != nil {
			return err
		}
	}
	return c.redis.XAck(ctx, c.events, group, entry.ID).Err()
}

func main() {
	queue, name, url := os.Getenv("QUEUE"), os.Getenv("CONSUMER"), os.Getenv("REDIS_URL")
	once := len(os.Args) == 2 && os.Args[1] == "--once"
	if queue == "" || name == "" || (len(os.Args) > 1 && !once) {
		fmt.Fprintln(os.Stderr, "usage: [REDIS_URL=…] QUEUE=… CONSUMER=… consumer [--once]")
		os.Exit(2)
	}
	if url == "" {
		url = "redis://127.0.0.1:6379"
	}
	options, err := redis.ParseURL(url)
	if err != nil {
		log.Fatal(err)
	}
	// A blocking read may take as long as BLOCK says and ten seconds more. The library does not retry by itself: an
	// answer may have been lost with the connection, so we begin again with what is pending.
	options.Protocol, options.MaxRetries = 2, -1
	stop, cancel := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	c := consumer{redis: redis.NewClient(options), name: name, stop: stop}
	c.events, c.dead = "loket:{q:"+queue+"}:events", "loket:{q:"+queue+"}:dead"
	for stop.Err() == nil {
		err := c.run(once)
		if err == nil {
			return
		}
		log.Printf("redis: %v", err)
		if once {
			os.Exit(1)
		}
		select {
		case <-stop.Done():
		case <-time.After(min(time.Second<<c.failures, 30*time.Second)):
		}
		c.failures = min(c.failures+1, 5)
	}
}
