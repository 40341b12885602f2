//! Behaviours of the whole, one file each, in one binary.

mod harness;

mod acceptance;
mod answers;
mod authenticity;
mod channels;
mod chats;
mod commands;
mod consumers;
mod conversation;
mod crash;
mod dns;
mod dovecot;
mod enclosed_letters;
mod enclosed_twilio;
mod enclosures;
mod gateways;
mod letters;
mod mail_hooks;
mod mail_sink;
mod mailbox;
mod mailbox_access;
mod media;
mod outage;
mod redis_servers;
mod refusal;
mod s3_server;
mod shared_url;
mod shelf;
mod smtp;
mod store_contract;
mod store_embedded;
mod store_redis;
mod tidy;
mod whatsapp;
