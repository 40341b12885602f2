//! Where a file may be fetched from (`threats.md` F1, F2, F6): hosts of the manifest's list, and the host that the operator
//! wrote into a setting. Pure.

use reqwest::Url;

use crate::{channel::Channel, network::Reach, signature::is_listed};

const LONGEST_URL: usize = 2048;

/// The places that one channel's files may come from.
#[derive(Debug)]
pub struct Places<'a> {
    hosts: &'a [String],
    /// Scheme, host and port of settings that `[media]` begins with.
    own: Vec<(String, String, u16)>,
    /// The operator allows addresses of our own networks, and with them http and any port.
    pub least: Reach,
}

/// Scheme, host and port: what a credential is for.
pub fn origin(url: &Url) -> Option<(String, String, u16)> {
    Some((url.scheme().to_owned(), url.host_str()?.to_owned(), url.port_or_known_default()?))
}

impl<'a> Places<'a> {
    pub fn of(channel: &'a Channel) -> Option<Self> {
        let media = channel.engine.webhook()?.media.as_ref()?;
        let own = media
            .url_settings()
            .filter_map(|name| channel.settings.values(name).first().copied())
            .filter_map(|base| origin(&Url::parse(base).ok()?))
            .collect();
        Some(Self::new(&media.rules().hosts, own, channel.allow_private_media))
    }

    pub fn new(hosts: &'a [String], own: Vec<(String, String, u16)>, allow_private: bool) -> Self {
        Self { hosts, own, least: if allow_private { Reach::Private } else { Reach::Public } }
    }

    /// The URL, if a file may be fetched there. The error shows nothing of it but the host.
    pub fn check(&self, url: &str) -> Result<Url, String> {
        if url.len() > LONGEST_URL || url.bytes().any(|byte| byte <= b' ' || byte == 0x7f || byte == b'\\') {
            return Err("the URL of the file is too long, or holds a space or a control character".to_owned());
        }
        let mut url = Url::parse(url).map_err(|_| "the URL of the file is none".to_owned())?;
        let is_free = self.least == Reach::Private;
        match url.scheme() {
            "https" => {}
            "http" if is_free => {}
            "http" => return Err("files are fetched by https only; see [media] allow_private".to_owned()),
            _ => return Err("the URL of the file is neither https nor http".to_owned()),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("the URL of the file names a user".to_owned());
        }
        url.set_fragment(None);
        let Some(origin) = origin(&url) else { return Err("the URL of the file names no host".to_owned()) };
        if self.own.contains(&origin) {
            return Ok(url);
        }
        let host = origin.1.as_str();
        if !is_listed(host, self.hosts) {
            return Err(format!("the host {host:.80} is not in [media] hosts"));
        }
        if url.port().is_some() && !is_free {
            return Err("the URL of the file names a port".to_owned());
        }
        Ok(url)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hosts() -> Vec<String> {
        vec!["files.gateway.example".to_owned(), "*.cdn.example".to_owned()]
    }

    #[test]
    fn only_listed_hosts_are_asked_and_only_by_https() {
        let hosts = hosts();
        let places = Places::new(&hosts, Vec::new(), false);
        for good in [
            "https://files.gateway.example/a?b=c",
            "https://FILES.gateway.example/a",
            "https://a.cdn.example/x",
            "https://files.gateway.example:443/",
        ] {
            assert!(places.check(good).is_ok(), "{good}");
        }
        for bad in [
            "http://files.gateway.example/a",
            "https://files.gateway.example:8443/a",
            "https://cdn.example/x",
            "https://evilcdn.example/x",
            "https://files.gateway.example.evil.example/",
            "https://files.gateway.example@evil.example/",
            "https://user@files.gateway.example/",
            "https://files.gateway.example\r\n.evil.example/",
            "https://files.gateway.example\\@evil.example/",
            "https://files.gateway.example./",
            "file:///etc/passwd",
            "gopher://files.gateway.example/",
            "ftp://files.gateway.example/",
            "data:text/plain,x",
            "//files.gateway.example/",
            "",
        ] {
            assert!(places.check(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn no_spelling_of_an_address_is_on_the_list() {
        let hosts = hosts();
        for allow_private in [false, true] {
            let places = Places::new(&hosts, Vec::new(), allow_private);
            for host in [
                "127.0.0.1",
                "[::1]",
                "[::ffff:127.0.0.1]",
                "169.254.169.254",
                "10.0.0.1",
                "2130706433",
                "0177.0.0.1",
                "0x7f.1",
                "127.1",
                "0.0.0.0",
                "localhost",
                "localhost.",
                "[fc00::1]",
                "[fe80::1]",
                "100.64.0.1",
            ] {
                assert!(places.check(&format!("https://{host}/")).is_err(), "{host}");
                assert!(places.check(&format!("http://{host}/")).is_err(), "{host}");
            }
        }
    }

    #[test]
    fn a_setting_of_the_operator_is_one_host_and_port() {
        let own = vec![("http".to_owned(), "127.0.0.1".to_owned(), 8081)];
        let places = Places::new(&[], own.clone(), true);
        assert!(places.check("http://127.0.0.1:8081/file").is_ok());
        assert!(places.check("http://127.0.0.1:8082/file").is_err());
        assert!(Places::new(&[], own, false).check("http://127.0.0.1:8081/file").is_err());
    }

    proptest! {
        #[test]
        fn no_url_panics_or_leads_off_the_list(text in "\\PC{0,60}") {
            let hosts = hosts();
            let places = Places::new(&hosts, Vec::new(), false);
            for url in [text.clone(), format!("https://{text}"), format!("https://files.gateway.example{text}")] {
                if let Ok(url) = places.check(&url) {
                    let host = url.host_str().unwrap_or_default();
                    prop_assert!(host == "files.gateway.example" || host.ends_with(".cdn.example"), "{}", url);
                }
            }
        }
    }
}
