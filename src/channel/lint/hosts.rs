//! `[media] hosts`: the only hosts that files are ever fetched from, so each must be somebody's in particular.

use std::net::IpAddr;

use super::Report;
use crate::channel::manifest::Manifest;

/// Second levels under which anybody can have a name, in countries that have them.
const SHARED_SECOND_LEVELS: [&str; 16] =
    ["ac", "biz", "co", "com", "desa", "edu", "go", "gov", "mil", "my", "ne", "net", "or", "org", "sch", "web"];
/// Suffixes of hosting companies: whoever pays gets a name under them.
const SHARED_HOSTING: [&str; 22] = [
    "amazonaws.com",
    "appspot.com",
    "azurewebsites.net",
    "backblazeb2.com",
    "blob.core.windows.net",
    "cloudapp.net",
    "cloudfront.net",
    "digitaloceanspaces.com",
    "firebaseapp.com",
    "fly.dev",
    "github.io",
    "gitlab.io",
    "googleapis.com",
    "herokuapp.com",
    "netlify.app",
    "ngrok.app",
    "ngrok.io",
    "onrender.com",
    "pages.dev",
    "vercel.app",
    "web.app",
    "workers.dev",
];

pub fn check(manifest: &Manifest, report: &mut Report<'_>) {
    let has_attachments = manifest.message.as_ref().is_some_and(|message| message.attachments.is_some());
    let hosts = manifest.media.as_ref().map_or(&[][..], |media| &media.hosts);
    subscriptions(manifest, report);
    // `[media] hosts = []` says that files come within the requests and nothing is ever contacted.
    let is_within = manifest.media.as_ref().is_some_and(|media| media.url.is_none() && media.resolve.is_none());
    if has_attachments && hosts.is_empty() && !is_within {
        let path = if manifest.media.is_some() { "media" } else { "message.attachments" };
        let hint = "add [media] with hosts = [\"files.provider.example\"]: nothing else is ever contacted".to_owned();
        report.error(path, "`media.hosts` is missing: nothing says where attachments may be fetched", Some(hint));
    }
    for (place, host) in hosts.iter().enumerate() {
        if let Some(reason) = mistake_in(host) {
            let hint = "write the exact name of the host, or `*.` and a name that belongs to the provider".to_owned();
            report.error(&format!("media.hosts.{place}"), format!("`media.hosts` has {host:?}: {reason}"), Some(hint));
        }
    }
}

/// A URL out of a request is asked for only where the request is verified, and only at somebody's in particular.
fn subscriptions(manifest: &Manifest, report: &mut Report<'_>) {
    for (place, handshake) in manifest.handshakes.iter().enumerate() {
        let path = |key: &str| format!("handshake.{place}.{key}");
        if handshake.fetch.is_none() {
            continue;
        }
        if handshake.signed == Some(false) || manifest.verify.blocks().is_empty() {
            let hint = "leave `signed` out, and say in [[verify]] how the request is checked".to_owned();
            report.error(&path("fetch"), "`fetch` follows a URL that anybody may send", Some(hint));
        }
        if handshake.fetch_hosts.is_empty() {
            let hint = "add fetch_hosts = [\"confirm.provider.example\"]: nothing else is ever contacted".to_owned();
            report.error(&path("fetch"), "`fetch_hosts` is missing", Some(hint));
        }
        for host in &handshake.fetch_hosts {
            if let Some(reason) = mistake_in(host) {
                let message = format!("`fetch_hosts` has {host:?}: {reason}");
                report.error(&path("fetch_hosts"), message, Some("write the exact name of the host".to_owned()));
            }
        }
    }
}

fn mistake_in(host: &str) -> Option<&'static str> {
    let (is_wildcard, name) = host.strip_prefix("*.").map_or((false, host), |name| (true, name));
    if host == "*" || name.contains('*') {
        return Some("that may be any host");
    }
    if name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() {
        return Some("that is an address");
    }
    let labels: Vec<_> = name.split('.').collect();
    let is_label = |label: &&str| {
        let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !label.is_empty() && label.len() <= 63 && label.bytes().all(good)
    };
    if !labels.iter().all(is_label) {
        return Some("that is no name of a host");
    }
    let is_shared_level =
        matches!(labels[..], [second, country] if country.len() == 2 && SHARED_SECOND_LEVELS.contains(&second));
    if labels.len() < 2 || is_shared_level {
        return Some("that is a public suffix");
    }
    (is_wildcard && SHARED_HOSTING.contains(&name)).then_some("anybody can have a name under that")
}

/// A loopback or private address, or a name that only our own network knows: the operator's business.
pub fn is_private(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    match name.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => address.is_loopback() || address.is_private() || address.is_link_local(),
        Ok(IpAddr::V6(address)) => {
            address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
        }
        Err(_) => name == "localhost" || !name.contains('.'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        channel::lint::tests::{tells, told},
        diagnostic::Severity::Error,
    };

    #[test]
    fn a_host_is_somebodys_in_particular() {
        for good in ["api.twilio.com", "*.twiliocdn.com", "kominfo.go.id", "*.kominfo.go.id", "bucket.s3.amazonaws.com"]
        {
            assert_eq!(mistake_in(good), None, "{good}");
        }
        for bad in [
            "*",
            "*.*",
            "a.*.com",
            "*.com",
            "com",
            "*.co.id",
            "go.id",
            "10.0.0.1",
            "[::1]",
            "169.254.169.254",
            "*.amazonaws.com",
            "a b.com",
            "",
            "https://a.example",
            "A.example",
        ] {
            assert!(mistake_in(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn attachments_need_hosts() {
        let attachments = "text = \".body.text\"\nattachments = \".body.files\"\n";
        tells("text = \".body.text\"\n", attachments, check, (Error, "`media.hosts` is missing", "\".body.files\""));
        let with_host = |host: &str| format!("{attachments}[media]\nhosts = [\"{host}\"]\n");
        assert_eq!(told("text = \".body.text\"\n", &with_host("a.example"), check), Vec::new());
        tells("text = \".body.text\"\n", &with_host("*"), check, (Error, "any host", "\"*\""));
    }

    #[test]
    fn a_subscription_is_confirmed_only_at_named_hosts_and_only_for_the_provider() {
        let handshake = |lines: &str| {
            format!(
                "[[handshake]]\nmethod = \"POST\"\nwhen = \".body.url != null\"\n\
                 respond = {{ status = 200, body = \"\" }}\nfetch = \".body.url\"\n{lines}\n[[verify]]\n"
            )
        };
        let hosts = "fetch_hosts = [\"confirm.provider.example\"]\n";
        assert_eq!(told("[[verify]]\n", &handshake(hosts), check), Vec::new());
        for (lines, words, shown) in [
            (String::new(), "`fetch_hosts` is missing", "\".body.url\""),
            (hosts.replace("confirm.provider", "*"), "public suffix", "[\"*.example\"]"),
            (format!("signed = false\n{hosts}"), "a URL that anybody may send", "\".body.url\""),
        ] {
            tells("[[verify]]\n", &handshake(&lines), check, (Error, words, shown));
        }
    }

    #[test]
    fn our_own_network_is_known_by_its_addresses() {
        for private in ["127.0.0.1:80", "10.0.0.1", "[::1]:80", "localhost:13013", "kannel"] {
            assert!(is_private(private), "{private}");
        }
        for public in ["a.example", "203.0.113.1", "[2001:db8::1]"] {
            assert!(!is_private(public), "{public}");
        }
    }
}
