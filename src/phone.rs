//! Phone numbers: E.164 where there is one, everything else kept as it is (`conversation-flow.md` §4).

/// E.164 of a number as a provider writes it; national numbers are read as the country's (ISO 3166). None: not a phone number.
pub fn e164(text: &str, country: &str) -> Option<String> { let _ = (text, country); todo!() }
