//! One rule: conditions, and the route of what meets them all.

use super::{
    Route,
    condition::{Condition, Facts},
};
use crate::{agencies::Agency, units::Span};

/// What stands for the agency's code in a queue's name.
pub(super) const PLACEHOLDER: &str = "{agency}";

#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub name: String,
    /// In the order in which they are asked; none: every complaint.
    pub conditions: Vec<Condition>,
    pub queue: Queue,
    pub priority: u8,
    pub service_level: Option<Span>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Queue {
    Named(String),
    /// The name around the agency's code. It makes an agency a condition of the rule.
    OfAgency {
        before: String,
        after: String,
    },
}

/// Why a rule does not match.
pub(super) enum Miss<'a> {
    Condition(&'a Condition),
    /// The queue is an agency's, and the complaint names none.
    NoAgency,
}

/// A rule that matches, with the agency of its queue.
pub(super) struct Match<'a>(Option<&'a Agency>);

impl Rule {
    pub fn matches<'a>(&'a self, facts: &'a Facts<'_>) -> Result<Match<'a>, Miss<'a>> {
        if let Some(condition) = self.conditions.iter().find(|condition| !condition.holds(facts)) {
            return Err(Miss::Condition(condition));
        }
        if matches!(self.queue, Queue::Named(_)) {
            return Ok(Match(None));
        }
        // The agency that the rule asks for, or the first that the complaint names.
        let wanted = self.conditions.iter().find_map(|condition| match condition {
            Condition::Agency(places) => Some(places),
            _ => None,
        });
        let fits = |place: &&usize| wanted.is_none_or(|wanted| wanted.iter().any(|(one, _)| one == *place));
        let place = facts.named().iter().find(fits).ok_or(Miss::NoAgency)?;
        Ok(Match(Some(&facts.agencies.all()[*place])))
    }

    pub fn route(&self, Match(agency): Match<'_>) -> Route {
        let queue = match &self.queue {
            Queue::Named(name) => name.clone(),
            Queue::OfAgency { before, after } => {
                [before.as_str(), agency.map_or("", |agency| agency.slug.as_str()), after].concat()
            }
        };
        Route { queue, priority: self.priority, service_level: self.service_level, rule: Some(self.name.clone()) }
    }

    /// Does this rule match whatever `later` matches, so that `later` is never reached?
    pub fn hides(&self, later: &Self) -> bool {
        let of_agency = |rule: &Self| matches!(rule.queue, Queue::OfAgency { .. });
        let agency_known = |rule: &Self| {
            of_agency(rule) || rule.conditions.iter().any(|condition| matches!(condition, Condition::Agency(_)))
        };
        let covered = |wide: &Condition| later.conditions.iter().any(|narrow| wide.covers(narrow));
        self.conditions.iter().all(covered) && (!of_agency(self) || agency_known(later))
    }
}
