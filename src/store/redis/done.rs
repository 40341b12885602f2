//! What is done and waits to be struck out, which happens in front of the next call.

use redis::{Cmd, Value};
use uuid::Uuid;

use super::{
    RedisStore,
    layout::{of_senders, tracking_ids},
    link::{Command, Confirm},
    script::Script,
};
use crate::{
    complaint::TrackingId,
    store::{Settled, StoreError},
};

/// More than these are left: steps for `tend`, and reservations stay.
const MOST: usize = 10_000;

/// What waits to be struck out.
#[derive(Clone, Debug)]
pub enum Done {
    /// Step 2 of a transition, under a field of a partition, and the complaint that is made by it.
    Step { partition: u8, field: Vec<u8>, made: Option<(TrackingId, Uuid)> },
    /// A tracking id that was reserved for a complaint and named nothing.
    Reservation(TrackingId, Uuid),
}

impl Done {
    fn commands(&self) -> Vec<Command> {
        match self {
            Self::Step { partition, field, made } => {
                let key = of_senders(*partition, "pending");
                let mut delete = redis::cmd("HDEL");
                delete.arg(&key).arg(field);
                let made = made.as_ref().map(|(tracking_id, complaint)| name(tracking_id, *complaint));
                made.into_iter().chain([Command::new(&key, delete)]).collect()
            }
            Self::Reservation(tracking_id, complaint) => {
                let key = tracking_ids(tracking_id);
                let mut free = Script::GiveBack.call(&[&key]);
                free.arg(tracking_id.as_str()).arg(complaint.as_bytes());
                vec![Command::new(&key, free)]
            }
        }
    }
}

/// Reserved for this complaint since step 0; the mark says that it is made.
fn name(tracking_id: &TrackingId, complaint: Uuid) -> Command {
    let key = tracking_ids(tracking_id);
    let mut name: Cmd = redis::cmd("HSET");
    name.arg(&key).arg(tracking_id.as_str()).arg([complaint.as_bytes().as_slice(), b"!"].concat());
    Command::new(&key, name)
}

impl RedisStore {
    pub(super) fn note_done(&self, done: impl Iterator<Item = Done>) {
        let mut noted = self.done();
        let room = MOST.saturating_sub(noted.len());
        noted.extend(done.take(room));
    }

    /// Tracking ids of messages that became no complaint are free again.
    pub(super) fn give_back(&self, unused: Vec<Option<(TrackingId, Uuid)>>, settled: &[Settled]) {
        let is_over = |settled: &Settled| matches!(settled, Settled::Applied | Settled::Duplicate { .. });
        let free =
            unused.into_iter().zip(settled).filter(|(_, settled)| is_over(settled)).filter_map(|(unused, _)| unused);
        self.note_done(free.map(|(tracking_id, complaint)| Done::Reservation(tracking_id, complaint)));
    }

    /// Strikes out what is done, and runs commands behind it in the same round trip; their answers. What may not have been
    /// struck out is struck out with the next call, which changes nothing if it was.
    pub(super) async fn strike_out_and(
        &self,
        commands: Vec<Command>,
        confirm: Confirm,
    ) -> Result<Vec<Value>, StoreError> {
        if self.work.was_made_anew() {
            // A failover or a restart may have lost names that we wrote.
            self.known().clear();
        }
        let done = std::mem::take(&mut *self.done());
        let mut all: Vec<Command> = done.iter().flat_map(Done::commands).collect();
        let skipped = all.len();
        all.extend(commands);
        match self.work.run(all, confirm).await {
            Ok(mut values) => Ok(values.split_off(skipped)),
            Err(error) => {
                self.note_done(done.into_iter());
                Err(error)
            }
        }
    }
}
