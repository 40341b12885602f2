//! Several gateways on one Redis: G3 and G5 hold across them, timers fire once, and a gateway that is gone holds up nobody.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    harness::{World, until},
    redis_servers::Server,
};

const TEXT: &str = "Lampu jalan di depan pasar padam sudah dua minggu.";

async fn named(name: &str, server: &Server) -> World {
    let mut world = World::prepare().await;
    world.store = server.url();
    world.write("config/loket.toml", &format!("[gateway]\nname = \"{name}\"\n"));
    world.add_twilio("sms");
    world.serve().await
}

/// Two gateways that know of each other.
async fn two(server: &Server) -> [World; 2] {
    let worlds = [named("one", server).await, named("two", server).await];
    until("the gateways know of each other", async || {
        let signs = server.command(&["HVALS", "loket:gateways"]).await;
        let know = signs.items().iter().filter(|sign| !sign.text().starts_with("0:")).count();
        (know == 2).then_some(())
    })
    .await;
    worlds
}

async fn both_quiet(worlds: &[World; 2]) {
    for world in worlds {
        world.quiet().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn g3_a_delivery_to_two_gateways_is_enqueued_once() {
    let server = Server::start(&[]).await;
    let worlds = two(&server).await;

    let deliveries = (0..20).map(|place| worlds[place % 2].sms("SM1", "+6281100000001", TEXT));
    let statuses = futures_util::future::join_all(deliveries).await;

    assert_eq!(statuses, vec![200; 20]);
    both_quiet(&worlds).await;
    assert_eq!(worlds[0].events().await.len(), 1);
    let answers = until("the answer to the citizen", async || {
        let sent: usize = worlds.iter().map(|world| world.provider.sent().len()).sum();
        (sent > 0).then_some(sent)
    });
    assert_eq!(answers.await, 1);
    for world in worlds {
        world.finish().await;
    }
}

/// The numbers in the descriptions, per complaint, in the order of the queue.
fn numbers(events: &[(String, Value)]) -> BTreeMap<String, Vec<u32>> {
    let mut numbers: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for (_, event) in events {
        let words = event["data"]["description"].as_str().expect("words");
        let number = words.split("berita ke ").nth(1).and_then(|rest| rest.split(' ').next()).expect("a number");
        let subject = event["subject"].as_str().expect("a subject").to_owned();
        numbers.entry(subject).or_default().push(number.parse().expect("a number"));
    }
    numbers
}

/// `scripts/order` does the same with 20,000 messages against the optimised program.
#[tokio::test(flavor = "multi_thread")]
async fn g5_the_order_of_a_sender_holds_over_two_gateways() {
    const SENDERS: usize = 20;
    const MESSAGES: usize = 15;
    let server = Server::start(&[]).await;
    let worlds = two(&server).await;

    let senders = (0..SENDERS).map(async |sender| {
        for number in 1..=MESSAGES {
            let (sid, from) = (format!("SM{sender}-{number}"), format!("+62811{sender:08}"));
            let text = format!("Lampu jalan padam, berita ke {number} dari saya.");
            // Now to this gateway, now to that, in no pattern.
            let world = &worlds[(sender + number * number / 3) % 2];
            assert_eq!(world.sms(&sid, &from, &text).await, 200);
        }
    });
    futures_util::future::join_all(senders).await;
    both_quiet(&worlds).await;

    let found = numbers(&worlds[0].events().await);
    assert_eq!(found.len(), SENDERS);
    let in_order: Vec<u32> = (1..=MESSAGES as u32).collect();
    for numbers in found.values() {
        assert_eq!(*numbers, in_order);
    }
    assert!(server.command(&["ZCARD", "loket:{s:0}:lanes"]).await.items().is_empty(), "lanes are left as they were");
    for world in worlds {
        world.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_gone_holds_up_nobody() {
    let server = Server::start(&[]).await;
    let [mut gone, here] = two(&server).await;
    // A place of a gateway that will never come back, ahead of everything.
    gone.stop().await;

    assert_eq!(here.sms("SM1", "+6281100000001", TEXT).await, 200);

    here.wait_for_events(1).await;
    here.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_takes_a_backlog_on_after_another_that_is_away_for_good() {
    let server = Server::start(&[]).await;
    let [mut one, two] = two(&server).await;
    one.stop().await;
    // What the other gateway began and did not finish: step 1 is done and step 2 is not.
    assert_eq!(two.sms("SM1", "+6281100000001", TEXT).await, 200);
    two.wait_for_events(1).await;

    one.resume().await;

    assert_eq!(one.sms("SM1", "+6281100000001", TEXT).await, 200);
    one.quiet().await;
    assert_eq!(one.events().await.len(), 1);
    let (status, list) = one.api("/v1/queues/triage/lease", json!({ "max": 10 })).await;
    assert_eq!((status, list["deliveries"].as_array().map(Vec::len)), (200, Some(1)));
    one.finish().await;
    two.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_gateway_at_a_time_sends_for_a_channel() {
    let server = Server::start(&[]).await;
    let worlds = two(&server).await;

    for number in 0..10 {
        let (sid, from) = (format!("SM{number}"), format!("+62811{number:08}"));
        assert_eq!(worlds[number % 2].sms(&sid, &from, TEXT).await, 200);
    }
    let counts = async || worlds.each_ref().map(|world| world.provider.sent().len());
    let sent =
        until("ten answers", async || Some(counts().await).filter(|sent| sent.iter().sum::<usize>() == 10)).await;
    assert!(sent.contains(&0), "both sent: {sent:?}");

    // The one that sends stops, and the other goes on.
    let [mut first, mut second] = worlds;
    if sent[0] == 0 {
        std::mem::swap(&mut first, &mut second);
    }
    first.stop().await;
    assert_eq!(second.sms("SMlast", "+6281100000099", TEXT).await, 200);
    second.wait_for_sent(1).await;
    second.finish().await;
}
