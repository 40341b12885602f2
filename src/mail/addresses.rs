//! The addresses of a channel: which mail is for it, and what stands behind the `+` of one (RFC 5233).

/// Addresses that a channel takes mail for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OurAddresses(Vec<Ours>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Ours {
    /// `lapor@kota.example`, and `lapor+anything@kota.example`.
    Mailbox { local: String, domain: String },
    /// `*@lapor.kota.example`
    Domain(String),
}

/// A recipient that is one of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// In lower case, without what stood behind the `+`.
    pub address: String,
    /// What stood there.
    pub detail: Option<String>,
}

/// The text names no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no mail address")]
pub struct BadAddress(pub String);

impl OurAddresses {
    /// Nobody's.
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// From a list with commas: `lapor@kota.example, *@lapor.kota.example`.
    pub fn parse(list: &str) -> Result<Self, BadAddress> {
        let one = |address: &str| {
            let (local, domain) = parts(address).ok_or_else(|| BadAddress(address.to_owned()))?;
            Ok(if local == "*" { Ours::Domain(domain) } else { Ours::Mailbox { local, domain } })
        };
        list.split(',')
            .map(str::trim)
            .filter(|address| !address.is_empty())
            .map(one)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first address that names one mailbox: answers come from it unless the channel says otherwise.
    pub fn first(&self) -> Option<String> {
        self.0.iter().find_map(|ours| match ours {
            Ours::Mailbox { local, domain } => Some(format!("{local}@{domain}")),
            Ours::Domain(_) => None,
        })
    }

    /// Is this recipient one of ours? Case does not matter: nobody has two mailboxes that differ in it.
    pub fn find(&self, address: &str) -> Option<Recipient> {
        let (local, domain) = parts(address)?;
        let (base, detail) = match local.split_once('+') {
            Some((base, detail)) => (base, Some(detail)),
            None => (local.as_str(), None),
        };
        let exact = |ours: &&Ours| matches!(ours, Ours::Mailbox { local: mine, domain: theirs } if *mine == local && *theirs == domain);
        if self.0.iter().any(|ours| exact(&ours)) {
            return Some(Recipient { address: format!("{local}@{domain}"), detail: None });
        }
        let fits = self.0.iter().any(|ours| match ours {
            Ours::Mailbox { local: mine, domain: theirs } => mine == base && *theirs == domain,
            Ours::Domain(theirs) => *theirs == domain,
        });
        let detail = detail.filter(|detail| !detail.is_empty()).map(str::to_owned);
        fits.then(|| Recipient { address: format!("{base}@{domain}"), detail })
    }
}

/// Local part and domain in lower case, if both are there.
fn parts(address: &str) -> Option<(String, String)> {
    let (local, domain) = address.trim().trim_start_matches('<').trim_end_matches('>').rsplit_once('@')?;
    let is_good = !local.is_empty()
        && !domain.is_empty()
        && !address.chars().any(|letter| letter.is_control() || letter == ' ' || letter == ',');
    is_good.then(|| (local.to_lowercase(), domain.trim_end_matches('.').to_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipient_is_found_with_and_without_its_detail() {
        let ours = OurAddresses::parse("Lapor@Kota.example, *@aduan.example").expect("addresses");
        let found = |address: &str| ours.find(address).map(|found| (found.address, found.detail));
        for (address, expected, detail) in [
            ("lapor@kota.example", "lapor@kota.example", None),
            ("<LAPOR+abc@KOTA.EXAMPLE.>", "lapor@kota.example", Some("abc")),
            ("lapor+@kota.example", "lapor@kota.example", None),
            ("jalan+x+y@aduan.example", "jalan@aduan.example", Some("x+y")),
        ] {
            assert_eq!(found(address), Some((expected.to_owned(), detail.map(str::to_owned))), "{address}");
        }
        for foreign in
            ["lain@kota.example", "lapor@kota.example.org", "lapor", "@kota.example", "lapor@", "a b@aduan.example"]
        {
            assert_eq!(found(foreign), None, "{foreign}");
        }
        assert_eq!(ours.first().as_deref(), Some("lapor@kota.example"));
    }

    #[test]
    fn an_address_with_a_plus_of_its_own_is_one_address() {
        let ours = OurAddresses::parse("pak+lurah@kota.example").expect("an address");
        let found = ours.find("pak+lurah@kota.example").expect("ours");
        assert_eq!((found.address.as_str(), found.detail), ("pak+lurah@kota.example", None));
        assert!(OurAddresses::parse("kota.example").is_err());
        assert!(OurAddresses::parse("").expect("nothing").is_empty());
    }
}
