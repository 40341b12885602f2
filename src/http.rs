//! Requests that leave the gateway: the one place with a client, its time-outs and its limits.
