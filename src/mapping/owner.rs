//! Whose an item is, where several channels share one URL (`channel-manifest.md` §3 `[receive] pick`).
//!
//! Only the channels that named the receiver can be picked, so that a payload cannot reach any other (`threats.md` A11).

use std::collections::BTreeMap;

use super::Surroundings;

/// The channel that an item belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Owner {
    /// The channel whose URL was called.
    #[default]
    Receiver,
    /// Place of a channel in [`Surroundings::sharers`].
    Sharer(usize),
    /// It names an account that neither of them has: the receiver keeps it, flagged.
    Nobody,
}

/// Of the items of a receipt. What is not named here is the receiver's.
#[derive(Clone, Debug, Default)]
pub struct Owners {
    /// By the place of the message in its receipt.
    pub messages: BTreeMap<usize, Owner>,
    /// By the place in [`super::Mapped::reports`].
    pub reports: BTreeMap<usize, Owner>,
    /// By the place in [`super::Mapped::faults`].
    pub faults: BTreeMap<usize, Owner>,
}

impl Surroundings<'_> {
    /// The channel whose setting has this value; the receiver first. An absent value is nobody's.
    pub fn owner(&self, setting: &str, value: Option<&str>) -> Owner {
        let Some(value) = value else { return Owner::Nobody };
        let has = |one: &Surroundings<'_>| one.settings.values(setting).contains(&value);
        if has(self) {
            return Owner::Receiver;
        }
        self.sharers.iter().position(has).map_or(Owner::Nobody, Owner::Sharer)
    }

    /// What the items of an owner are read with.
    pub fn of<'a>(&'a self, owner: Owner) -> &'a Self
    where
        Self: 'a,
    {
        match owner {
            Owner::Sharer(place) => self.sharers.get(place).unwrap_or(self),
            Owner::Receiver | Owner::Nobody => self,
        }
    }
}
