//! Places of a request (`from = "header:NAME"` and its kin): read, and for samples written.
//!
//! A place that occurs twice is a failure and not a choice: two readers might choose differently.

use std::{borrow::Cow, fmt};

use super::{
    evidence::Evidence,
    failure::Failure,
    pointer::{Pointed, Pointer},
};

/// One place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In lower case.
    Header(String),
    Query(String),
    Form(String),
    /// In the query or the form.
    Param(String),
    Body(Pointer),
    /// Of the JWT that the same block has checked.
    Claim(String),
    /// Another pair of the signature's own `t=…,v1=…` list.
    SignaturePair(String),
}

impl Place {
    /// The error says what a place looks like.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let bad = || {
            format!(
                "`{text}` is no place; places are header:NAME, query:NAME, form:NAME, param:NAME, body:/json/pointer"
            )
        };
        let (kind, name) = text.split_once(':').filter(|(_, name)| !name.is_empty()).ok_or_else(bad)?;
        let owned = || name.to_owned();
        Ok(match kind {
            "header" => Self::Header(name.to_ascii_lowercase()),
            "query" => Self::Query(owned()),
            "form" => Self::Form(owned()),
            "param" => Self::Param(owned()),
            "body" => Self::Body(Pointer::parse(name).ok_or_else(bad)?),
            "claim" => Self::Claim(owned()),
            "kv" => Self::SignaturePair(owned()),
            _ => return Err(bad()),
        })
    }

    /// The one value at this place of the request. Claims and pairs are no places of a request and are not found.
    pub(super) fn find<'e>(&'e self, evidence: &'e Evidence<'_>) -> Result<Option<Cow<'e, [u8]>>, Failure> {
        match self {
            Self::Header(name) => self.only(evidence.request.header_values(name)),
            Self::Query(name) => self.only(evidence.query()?.values(name.as_bytes())),
            Self::Form(name) => self.only(evidence.form()?.into_iter().flat_map(|form| form.values(name.as_bytes()))),
            Self::Param(name) => {
                let form = evidence.form()?.into_iter().flat_map(|form| form.values(name.as_bytes()));
                self.only(evidence.query()?.values(name.as_bytes()).chain(form))
            }
            Self::Body(pointer) => match pointer.find(&evidence.request.body) {
                Pointed::Missing => Ok(None),
                Pointed::One(text) => Ok(Some(Cow::Owned(text.into_bytes()))),
                Pointed::Twice => Err(self.twice()),
            },
            Self::Claim(_) | Self::SignaturePair(_) => Ok(None),
        }
    }

    fn only<'e>(&self, mut values: impl Iterator<Item = &'e [u8]>) -> Result<Option<Cow<'e, [u8]>>, Failure> {
        match (values.next(), values.next()) {
            (value, None) => Ok(value.map(Cow::Borrowed)),
            (_, Some(_)) => Err(self.twice()),
        }
    }

    pub(super) fn twice(&self) -> Failure {
        Failure::wrong(format!("{self} occurs twice"))
    }

    /// As it stands in a check: the name of a header alone.
    pub(super) fn label(&self) -> String {
        match self {
            Self::Header(name) => name.clone(),
            other => other.to_string(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(out, "header:{name}"),
            Self::Query(name) => write!(out, "query:{name}"),
            Self::Form(name) => write!(out, "form:{name}"),
            Self::Param(name) => write!(out, "param:{name}"),
            Self::Body(pointer) => write!(out, "body:{pointer}"),
            Self::Claim(name) => write!(out, "claim:{name}"),
            Self::SignaturePair(name) => write!(out, "kv:{name}"),
        }
    }
}
