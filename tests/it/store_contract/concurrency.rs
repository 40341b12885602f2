//! Many at once.

use std::collections::BTreeSet;

use loket::store::{Settled, Transition};
use tokio::task::JoinSet;

use super::{Opened, claim, ids, message, numbers, receipt, seconds, settle, start};

/// Four tasks settle the same 2,500 messages at the same time, each under its own receipts, while a fifth leases.
pub async fn ten_thousand_transitions_of_many_tasks_give_one_entry_a_claim(store: Opened) {
    const MESSAGES: u64 = 2_500;
    let mut tasks = JoinSet::new();
    for task in 0..4_u64 {
        let store = store.store.clone();
        tasks.spawn(async move {
            let mut applied = 0;
            for batch in (0..MESSAGES).collect::<Vec<_>>().chunks(50) {
                let of_task = |number: &u64| Transition {
                    receipt: receipt(task * MESSAGES + number, start()),
                    claims: vec![claim(*number)],
                    ..message(*number)
                };
                let settled = settle(&*store, batch.iter().map(of_task).collect()).await;
                applied += settled.iter().filter(|settled| **settled == Settled::Applied).count();
                assert!(settled.iter().all(|settled| *settled != Settled::Conflict));
            }
            store.confirm().await.expect("confirmed");
            applied
        });
    }
    let mut seen = Vec::new();
    let mut applied = 0;
    while seen.len() < MESSAGES as usize || !tasks.is_empty() {
        if let Some(result) = tasks.try_join_next() {
            applied += result.expect("no panic");
        }
        let leased = store.lease("triage", 100, seconds(3600), start()).await.expect("leased");
        store.ack("triage", &ids(&leased), start()).await.expect("acknowledged");
        seen.extend(numbers(&leased));
    }

    assert_eq!((applied, seen.len()), (MESSAGES as usize, MESSAGES as usize));
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>().len(), MESSAGES as usize);
    let stats = store.queues(start()).await.expect("read").remove(0);
    assert_eq!((stats.depth, stats.in_flight, stats.dead), (0, 0, 0));
}
