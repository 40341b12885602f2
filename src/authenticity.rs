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
    AuthenticatedMessage, DkimOutput, DkimResult, DmarcResult, DnsError, Error, MessageAuthenticator, SpfOutput,
    SpfResult,
    dkim::DkimError,
    dmarc::verify::DmarcParameters,
    hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts},
    spf::verify::SpfParameters,
};
use tokio::time::timeout;

use crate::{
    clock,
    mail::{Envelope, envelope::Protocol},
    network::Network,
    receipt::{Check, CheckResult, Receipt},
};

/// For all checks of one letter.
const PATIENCE: Duration = Duration::from_secs(4);
/// For SPF, and for the signatures: what is left of it is for DMARC, which asks about the author's domain alone.
const SHARE: Duration = Duration::from_millis(2500);
/// For one question to the DNS; it is asked twice.
const QUESTION: Duration = Duration::from_millis(1500);
/// So many letters in a row that nobody answered for, and the DNS is left alone for a while.
const MOST_FAILURES: u32 = 3;
const REST: Duration = Duration::from_secs(30);
/// Where there are more signatures none of them is checked: each costs a question and a signature's arithmetic.
const MOST_SIGNATURES: usize = 10;

/// Bytes of a head that is looked at; a longer one is no letter that anybody signs.
const LONGEST_HEAD: usize = 256 << 10;
const NO_ANSWER: &str = "the DNS does not answer";

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
        let found = timeout(PATIENCE, self.ask(dns, receipt)).await.unwrap_or_else(|_| unknown());
        if self.are_too_many_failures(found.iter().any(|check| check.result == CheckResult::Temperror)) {
            self.rest_if_dead(dns).await;
        }
        found
    }

    async fn ask(&self, dns: &MessageAuthenticator, receipt: &Receipt) -> Vec<Check> {
        // Whoever forges a letter must not escape by writing a head that is hard to check.
        let beyond = |words| vec![check("dmarc", CheckResult::Policy, Some(words))];
        let Some(letter) = checkable(&receipt.request.body) else {
            return beyond("the head of the letter is too long to be checked");
        };
        let Some(message) = AuthenticatedMessage::parse(letter) else { return Vec::new() };
        let Some(author) = author_domain(&message) else {
            return beyond("the letter names authors of several domains");
        };
        let envelope = Envelope::of(&receipt.request);
        // Each has a time of its own: names that the sender chose, and that do not answer, hide nothing of the others.
        let (spf, signed) = tokio::join!(self.spf(dns, &envelope, receipt.remote), signatures(dns, &message));
        let domain = sender_domain(&envelope);
        let (none, unasked) = (SpfOutput::default(), Vec::new());
        let known_spf = match &spf {
            Answered::Known(spf) => spf,
            Answered::Unasked | Answered::Late => &none,
        };
        let parameters = DmarcParameters::new(&message, signed.dkim.as_deref().unwrap_or(&unasked), domain, known_spf);
        let mut dmarc = of_dmarc(&dns.verify_dmarc(parameters).await.result());
        let might_pass = matches!(spf, Answered::Late) && is_kin(domain, &author)
            || signed.is_late && signers(&message).any(|signer| is_kin(signer, &author));
        if dmarc == CheckResult::Fail && might_pass {
            dmarc = CheckResult::Temperror;
        }
        let mut checks = Vec::with_capacity(4);
        match &spf {
            Answered::Known(spf) => checks.push(check("spf", of_spf(spf.result()), None)),
            Answered::Late => checks.push(check("spf", CheckResult::Temperror, Some(NO_ANSWER))),
            Answered::Unasked => {}
        }
        checks.extend(signed.check);
        checks.push(check("dmarc", dmarc, None));
        checks.extend(signed.arc);
        checks
    }

    /// Unasked where the peer is a relay of our own, or a mail server on this machine: the sender's address is not known.
    async fn spf(&self, dns: &MessageAuthenticator, envelope: &Envelope, remote: Option<IpAddr>) -> Answered {
        let peer = remote.filter(|_| envelope.protocol == Some(Protocol::Smtp));
        let Some(peer) = peer.filter(|peer| !self.relays.iter().any(|relay| relay.contains(*peer))) else {
            return Answered::Unasked;
        };
        let helo = envelope.helo.as_deref().unwrap_or_default();
        let sender = envelope.mail_from.as_deref().unwrap_or_default();
        let asked = dns.verify_spf(SpfParameters::verify(peer, helo, &self.hostname, sender));
        timeout(SHARE, asked).await.map_or(Answered::Late, Answered::Known)
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

    fn are_too_many_failures(&self, has_failed: bool) -> bool {
        let mut trouble = self.trouble();
        trouble.failures = if has_failed { trouble.failures + 1 } else { 0 };
        let are_too_many = trouble.failures >= MOST_FAILURES && trouble.resting_until.is_none();
        if are_too_many {
            trouble.failures = 0;
        }
        are_too_many
    }

    /// The senders chose the names that nobody answered for, and three letters must not switch the checks off for all: a
    /// name of our own, new each time so that no cache knows it, tells whether the DNS is there. That there is none is an answer.
    async fn rest_if_dead(&self, dns: &MessageAuthenticator) {
        let name = format!("{:x}.{}.", u64::from_ne_bytes(clock::random()), self.hostname.trim_matches('.'));
        let answered = match timeout(QUESTION, dns.txt_raw_lookup(&*name)).await {
            Ok(answer) => !matches!(answer, Err(Error::Dns(DnsError::Resolver(_)))),
            Err(_) => false,
        };
        if !answered {
            self.trouble().resting_until = Instant::now().checked_add(REST);
            tracing::warn!("the DNS does not answer: senders of letters are not checked for {} s", REST.as_secs());
        }
    }

    fn trouble(&self) -> std::sync::MutexGuard<'_, Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What SPF came to.
enum Answered {
    Known(SpfOutput),
    /// There is nothing to ask.
    Unasked,
    /// Nobody answered in time.
    Late,
}

/// What DKIM and ARC came to.
#[derive(Default)]
struct Signed<'a> {
    /// None: not checked.
    dkim: Option<Vec<DkimOutput<'a>>>,
    check: Option<Check>,
    arc: Option<Check>,
    /// Nobody answered in time.
    is_late: bool,
}

async fn signatures<'a>(dns: &MessageAuthenticator, message: &'a AuthenticatedMessage<'a>) -> Signed<'a> {
    if message.dkim_headers.len() + message.ams_headers.len() + message.as_headers.len() > MOST_SIGNATURES {
        let check = Some(check("dkim", CheckResult::Policy, Some("too many signatures")));
        return Signed { check, ..Signed::default() };
    }
    let (dkim, arc) = tokio::join!(timeout(SHARE, dns.verify_dkim(message)), timeout(SHARE, dns.verify_arc(message)));
    let arc = arc.ok().filter(|arc| *arc.result() != DkimResult::None);
    let arc = arc.map(|arc| check("arc", of_dkim(arc.result()), None));
    if let Ok(dkim) = dkim {
        let check = Some(check("dkim", of_signatures(&dkim), None));
        return Signed { check, dkim: Some(dkim), arc, is_late: false };
    }
    let check = Some(check("dkim", CheckResult::Temperror, Some(NO_ANSWER)));
    Signed { check, dkim: None, arc, is_late: true }
}

fn signers<'a>(message: &'a AuthenticatedMessage<'_>) -> impl Iterator<Item = &'a str> {
    message.dkim_headers.iter().map(|header| header.header.d.as_str())
}

/// The letter, as far as it can be checked: all of it, or its beginning where no empty line ends the head. Line ends need
/// not be CR LF: the reader understands the others too. None: the head is too long.
fn checkable(letter: &[u8]) -> Option<&[u8]> {
    let beginning = letter.get(..LONGEST_HEAD).unwrap_or(letter);
    let ends =
        beginning.windows(2).any(|bytes| bytes == b"\n\n") || beginning.windows(3).any(|bytes| bytes == b"\n\r\n");
    (ends || letter.len() <= LONGEST_HEAD).then_some(letter)
}

/// The domain of `From`, empty where there is none. None: there are several, which DMARC says nothing of (RFC 9989).
fn author_domain(message: &AuthenticatedMessage<'_>) -> Option<String> {
    let mut domains =
        message.from.iter().filter_map(|from| from.rsplit_once('@')).map(|(_, domain)| domain.to_lowercase());
    let first = domains.next().unwrap_or_default();
    domains.all(|domain| domain == first).then_some(first)
}

/// May the two belong to one organisation? Their last two labels are the same.
fn is_kin(one: &str, other: &str) -> bool {
    let end = |domain: &str| domain.rsplit('.').take(2).map(str::to_lowercase).collect::<Vec<_>>();
    end(one) == end(other)
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
    ["spf", "dkim", "dmarc"].map(|method| check(method, CheckResult::Temperror, Some(NO_ANSWER))).into()
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
        DkimResult::Fail(_) | DkimResult::Neutral(Error::Dkim(DkimError::FailedBodyHashMatch)) => CheckResult::Fail,
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
