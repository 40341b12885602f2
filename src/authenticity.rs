//! Who sent a letter: SPF (RFC 7208), DKIM (RFC 6376), DMARC (RFC 9989) and ARC (RFC 8617), asked of the DNS.
//!
//! In: a letter that our own server took, already in the journal. Out: checks for its provenance, as data and never as a
//! refusal. The reply to the sender has long been given. A DNS that does not answer makes `temperror`: it holds a letter up
//! for a few seconds at most, and after a few of those nobody waits for it any more until it is asked again.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use mail_auth::{
    AuthenticatedMessage, DkimOutput, DkimResult, DmarcResult, MessageAuthenticator, SpfOutput, SpfResult,
    dkim::DkimError,
    dmarc::verify::DmarcParameters,
    hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts},
    spf::verify::SpfParameters,
};

use crate::{
    mail::{Envelope, envelope::Protocol},
    network::Network,
    receipt::{Check, CheckResult, Receipt},
};

/// For all checks of one letter.
const PATIENCE: Duration = Duration::from_secs(4);
/// For one question to the DNS; it is asked twice.
const QUESTION: Duration = Duration::from_millis(1500);
/// So many letters in a row that nobody answered for, and the DNS is left alone for a while.
const MOST_FAILURES: u32 = 3;
const REST: Duration = Duration::from_secs(30);
/// A letter with more signatures is not checked: each costs a question and a signature's arithmetic.
const MOST_SIGNATURES: usize = 10;

/// Bytes of a head that is looked at; a longer one is no letter that anybody signs.
const LONGEST_HEAD: usize = 256 << 10;

/// Where the DNS is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolver {
    /// As the machine does.
    System,
    At(SocketAddr),
    /// Nobody is asked: there are no checks.
    Off,
}

/// The resolver could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("the DNS cannot be asked: {0}")]
pub struct Unusable(String);

/// Asks the DNS about letters.
pub struct Authenticator {
    /// None: switched off.
    dns: Option<MessageAuthenticator>,
    /// Our name, for SPF macros.
    hostname: String,
    /// Relays of our own: their address says nothing of the sender.
    relays: Vec<Network>,
    trouble: Mutex<Trouble>,
}

/// How the DNS has done lately.
#[derive(Debug, Default)]
struct Trouble {
    failures: u32,
    resting_until: Option<Instant>,
}

impl std::fmt::Debug for Authenticator {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Authenticator(on: {})", self.dns.is_some())
    }
}

impl Authenticator {
    pub fn new(resolver: Resolver, hostname: String, relays: Vec<Network>) -> Result<Self, Unusable> {
        let failed = |error: mail_auth::hickory_resolver::net::NetError| Unusable(error.to_string());
        let dns = match resolver {
            Resolver::Off => None,
            Resolver::System => Some(MessageAuthenticator::new_system_conf().map_err(failed)?),
            Resolver::At(address) => {
                let at = |mut connection: ConnectionConfig| {
                    connection.port = address.port();
                    connection
                };
                let connections = vec![at(ConnectionConfig::udp()), at(ConnectionConfig::tcp())];
                let server = NameServerConfig::new(address.ip(), true, connections);
                let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
                let mut options = ResolverOpts::default();
                (options.timeout, options.attempts) = (QUESTION, 2);
                Some(MessageAuthenticator::new(config, options).map_err(failed)?)
            }
        };
        Ok(Self { dns, hostname, relays, trouble: Mutex::default() })
    }

    /// Nobody is asked.
    pub fn off() -> Self {
        Self { dns: None, hostname: String::new(), relays: Vec::new(), trouble: Mutex::default() }
    }

    /// Is there anything to find out about this receipt?
    pub fn concerns(&self, receipt: &Receipt) -> bool {
        let protocol =
            [Protocol::Smtp, Protocol::Lmtp].iter().find(|protocol| protocol.name() == receipt.request.method);
        self.dns.is_some() && protocol.is_some()
    }

    /// What the DNS says of the sender; within a few seconds, whatever it does.
    pub async fn checks(&self, receipt: &Receipt) -> Vec<Check> {
        let Some(dns) = self.dns.as_ref().filter(|_| self.concerns(receipt)) else { return Vec::new() };
        if self.is_resting() {
            return unknown();
        }
        let found = tokio::time::timeout(PATIENCE, self.ask(dns, receipt)).await.unwrap_or_else(|_| unknown());
        self.note(found.iter().any(|check| check.result == CheckResult::Temperror));
        found
    }

    async fn ask(&self, dns: &MessageAuthenticator, receipt: &Receipt) -> Vec<Check> {
        let body = &receipt.request.body;
        let head = body.windows(4).take(LONGEST_HEAD).any(|bytes| bytes == b"\r\n\r\n");
        if !head {
            return Vec::new();
        }
        let Some(message) = AuthenticatedMessage::parse(body) else { return Vec::new() };
        if message.dkim_headers.len() + message.ams_headers.len() + message.as_headers.len() > MOST_SIGNATURES {
            return vec![check("dkim", CheckResult::Policy, Some("too many signatures"))];
        }
        let envelope = Envelope::of(&receipt.request);
        let spf = self.spf(dns, &envelope, receipt.remote).await;
        let dkim = dns.verify_dkim(&message).await;
        let arc = dns.verify_arc(&message).await;
        let domain = sender_domain(&envelope);
        let none = SpfOutput::default();
        let parameters = DmarcParameters::new(&message, &dkim, domain, spf.as_ref().unwrap_or(&none));
        let dmarc = dns.verify_dmarc(parameters).await;
        let mut checks = Vec::with_capacity(4);
        checks.extend(spf.map(|spf| check("spf", of_spf(spf.result()), None)));
        checks.push(check("dkim", of_signatures(&dkim), None));
        checks.push(check("dmarc", of_dmarc(&dmarc.result()), None));
        if *arc.result() != DkimResult::None {
            checks.push(check("arc", of_dkim(arc.result()), None));
        }
        checks
    }

    /// None where the peer is a relay of our own, or a mail server on this machine: the sender's address is not known.
    async fn spf(&self, dns: &MessageAuthenticator, envelope: &Envelope, remote: Option<IpAddr>) -> Option<SpfOutput> {
        let peer = remote.filter(|_| envelope.protocol == Some(Protocol::Smtp))?;
        if self.relays.iter().any(|relay| relay.contains(peer)) {
            return None;
        }
        let helo = envelope.helo.as_deref().unwrap_or_default();
        let sender = envelope.mail_from.as_deref().unwrap_or_default();
        Some(dns.verify_spf(SpfParameters::verify(peer, helo, &self.hostname, sender)).await)
    }

    fn is_resting(&self) -> bool {
        let mut trouble = self.trouble();
        match trouble.resting_until {
            Some(until) if Instant::now() < until => true,
            Some(_) => {
                // One letter finds out how it is now.
                *trouble = Trouble { failures: MOST_FAILURES - 1, resting_until: None };
                false
            }
            None => false,
        }
    }

    fn note(&self, has_failed: bool) {
        let mut trouble = self.trouble();
        trouble.failures = if has_failed { trouble.failures + 1 } else { 0 };
        if trouble.failures >= MOST_FAILURES && trouble.resting_until.is_none() {
            trouble.resting_until = Instant::now().checked_add(REST);
            tracing::warn!("the DNS does not answer: senders of letters are not checked for {} s", REST.as_secs());
        }
    }

    fn trouble(&self) -> std::sync::MutexGuard<'_, Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the envelope's sender is at home; the null path is its server's.
fn sender_domain(envelope: &Envelope) -> &str {
    let path = envelope.mail_from.as_deref().unwrap_or_default();
    path.rsplit_once('@').map_or_else(|| envelope.helo.as_deref().unwrap_or_default(), |(_, domain)| domain)
}

/// Without a domain: that may be enough to know who wrote, and not everybody who reads the complaint may know it.
fn check(method: &str, result: CheckResult, detail: Option<&str>) -> Check {
    Check { method: method.to_owned(), result, detail: detail.map(str::to_owned) }
}

/// Nobody answered.
fn unknown() -> Vec<Check> {
    ["spf", "dkim", "dmarc"].map(|method| check(method, CheckResult::Temperror, Some("the DNS does not answer"))).into()
}

fn of_spf(result: SpfResult) -> CheckResult {
    match result {
        SpfResult::Pass => CheckResult::Pass,
        SpfResult::Fail => CheckResult::Fail,
        SpfResult::SoftFail => CheckResult::Softfail,
        SpfResult::Neutral => CheckResult::Neutral,
        SpfResult::TempError => CheckResult::Temperror,
        SpfResult::PermError => CheckResult::Permerror,
        SpfResult::None => CheckResult::None,
    }
}

fn of_dkim(result: &DkimResult) -> CheckResult {
    match result {
        DkimResult::Pass => CheckResult::Pass,
        // A body that was changed is a signature that does not hold (RFC 8601, section 2.7.1), not one that cannot be read.
        DkimResult::Fail(_) | DkimResult::Neutral(mail_auth::Error::Dkim(DkimError::FailedBodyHashMatch)) => {
            CheckResult::Fail
        }
        DkimResult::Neutral(_) => CheckResult::Neutral,
        DkimResult::TempError(_) => CheckResult::Temperror,
        DkimResult::PermError(_) => CheckResult::Permerror,
        DkimResult::None => CheckResult::None,
    }
}

/// One good signature is enough; else the first says what is wrong.
fn of_signatures(signatures: &[DkimOutput<'_>]) -> CheckResult {
    let mut results = signatures.iter().map(|signature| of_dkim(signature.result()));
    let first = results.next().unwrap_or(CheckResult::None);
    if first == CheckResult::Pass || results.any(|result| result == CheckResult::Pass) {
        CheckResult::Pass
    } else {
        first
    }
}

fn of_dmarc(result: &DmarcResult) -> CheckResult {
    match result {
        DmarcResult::Pass => CheckResult::Pass,
        DmarcResult::Fail(_) => CheckResult::Fail,
        DmarcResult::TempError(_) => CheckResult::Temperror,
        DmarcResult::PermError(_) => CheckResult::Permerror,
        DmarcResult::None => CheckResult::None,
    }
}
