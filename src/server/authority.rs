//! Who may do what in the core API: bearer tokens (RFC 6750) with scopes.

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{StatusCode, header, request::Parts},
};
use ring::digest;
use secrecy::ExposeSecret;
use subtle::ConstantTimeEq;

use super::{App, problem::Problem};
use crate::{config::Scope, media::shelf::uploads::Owner};

/// The scopes of the token that came with a request.
#[derive(Debug)]
pub struct Authority(Vec<Scope>);

impl Authority {
    /// May it read and settle this queue?
    pub fn queue(&self, name: &str) -> Result<(), Problem> {
        self.need(|scope| matches!(scope, Scope::Core) || *scope == Scope::Queue(name.to_owned()))
    }

    /// May it see this queue in a list?
    pub fn sees_queue(&self, name: &str) -> bool {
        self.0.contains(&Scope::Operator) || self.queue(name).is_ok()
    }

    pub fn operator(&self) -> Result<(), Problem> {
        self.need(|scope| matches!(scope, Scope::Operator))
    }

    pub fn core_or_operator(&self) -> Result<(), Problem> {
        self.need(|scope| matches!(scope, Scope::Core | Scope::Operator))
    }

    /// Whose files are those that it hands in?
    pub fn owner(&self) -> Result<Owner, Problem> {
        if self.0.contains(&Scope::Core) {
            return Ok(Owner::Core);
        }
        let queue = |scope: &Scope| if let Scope::Queue(name) = scope { Some(name.clone()) } else { None };
        let queues: Vec<_> = self.0.iter().filter_map(queue).collect();
        if queues.is_empty() { self.need(|_| false).map(|()| Owner::Core) } else { Ok(Owner::Queues(queues)) }
    }

    /// May it send files of this owner?
    pub fn may_send(&self, owner: &Owner) -> bool {
        match owner {
            Owner::Core => self.0.contains(&Scope::Core),
            Owner::Queues(queues) => queues.iter().any(|queue| self.queue(queue).is_ok()),
        }
    }

    fn need(&self, fits: impl Fn(&Scope) -> bool) -> Result<(), Problem> {
        if self.0.iter().any(fits) {
            return Ok(());
        }
        Err(Problem::new(StatusCode::FORBIDDEN, "the scope of this token does not cover that"))
    }
}

impl FromRequestParts<Arc<App>> for Authority {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let given = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let given =
            given.and_then(|value| value.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        // Hashes have one length and tell nothing of the token: the comparison takes the same time for each.
        let hash = |text: &str| digest::digest(&digest::SHA256, text.as_bytes());
        let given = given.map(|(_, token)| hash(token.trim()));
        let mut scopes = Vec::new();
        for token in &app.resolved.tokens {
            let expected = hash(token.value.expose_secret());
            if given.as_ref().is_some_and(|given| bool::from(given.as_ref().ct_eq(expected.as_ref()))) {
                scopes.extend(token.scopes.iter().cloned());
            }
        }
        if scopes.is_empty() {
            let detail = "a token is needed: Authorization: Bearer …, as set by LOKET_API_TOKEN or [[token]]";
            return Err(Problem::new(StatusCode::UNAUTHORIZED, detail));
        }
        Ok(Self(scopes))
    }
}
