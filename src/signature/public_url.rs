//! The URL that providers sign: the configured public URL and the raw request target, never what a header says.

use super::rules::UrlVariant;

/// The configured public URL in its three spellings.
#[derive(Clone, Debug)]
pub(super) struct PublicUrl {
    as_configured: String,
    with_default_port: String,
    without_port: String,
}

impl PublicUrl {
    pub(super) fn new(url: &str) -> Self {
        let url = url.trim_end_matches('/');
        let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
        let (host, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        // The last colon of an IPv6 address in brackets is no port.
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (name, Some(port)),
            _ => (host, None),
        };
        let default = if scheme == "http" { "80" } else { "443" };
        Self {
            as_configured: url.to_owned(),
            with_default_port: format!("{scheme}://{name}:{}{path}", port.unwrap_or(default)),
            without_port: format!("{scheme}://{name}{path}"),
        }
    }

    pub(super) fn spelt(&self, variant: UrlVariant) -> &str {
        match variant {
            UrlVariant::AsConfigured => &self.as_configured,
            UrlVariant::WithDefaultPort => &self.with_default_port,
            UrlVariant::WithoutPort => &self.without_port,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_spelt_with_and_without_its_port() {
        for (url, with, without) in [
            ("https://loket.example/", "https://loket.example:443", "https://loket.example"),
            ("http://loket.example/x", "http://loket.example:80/x", "http://loket.example/x"),
            ("https://loket.example:8443", "https://loket.example:8443", "https://loket.example"),
            ("https://[2001:db8::1]", "https://[2001:db8::1]:443", "https://[2001:db8::1]"),
        ] {
            let public = PublicUrl::new(url);
            assert_eq!(public.spelt(UrlVariant::AsConfigured), url.trim_end_matches('/'));
            assert_eq!(public.spelt(UrlVariant::WithDefaultPort), with);
            assert_eq!(public.spelt(UrlVariant::WithoutPort), without);
        }
    }
}
