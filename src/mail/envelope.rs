//! The envelope of a letter: what the protocol said that brought it (RFC 5321, section 2.3.1). It is kept in the receipt as
//! the headers of its request, so that a replay reads the same.

use bytes::Bytes;

use crate::receipt::Request;

/// How a letter came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Smtp,
    Lmtp,
    Imap,
    /// Within a provider's request.
    Webhook,
}

impl Protocol {
    /// As it stands in the place of a request's method.
    pub fn name(self) -> &'static str {
        match self {
            Self::Smtp => "SMTP",
            Self::Lmtp => "LMTP",
            Self::Imap => "IMAP",
            Self::Webhook => "POST",
        }
    }
}

/// Where a letter lay in a mailbox (RFC 9051, section 2.3.1.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub folder: String,
    pub uid_validity: u32,
    pub uid: u32,
}

/// What the protocol said. Its addresses are a citizen's, so it prints none.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Envelope {
    pub protocol: Option<Protocol>,
    /// The return path; empty for the null path `<>`, None when the protocol tells none.
    pub mail_from: Option<String>,
    pub rcpt_to: Vec<String>,
    /// The name that the client gave itself.
    pub helo: Option<String>,
    /// Parameters of `MAIL FROM` and `RCPT TO` as they came (`RET=HDRS`, `SMTPUTF8`, `NOTIFY=NEVER`), for delivery
    /// status notifications (RFC 3461) and as evidence.
    pub parameters: Vec<String>,
    /// The connection was encrypted.
    pub tls: bool,
    pub place: Option<Place>,
}

impl std::fmt::Debug for Envelope {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Envelope({:?}, {} recipients)", self.protocol, self.rcpt_to.len())
    }
}

impl Envelope {
    /// The request of a receipt: the letter is its body.
    pub fn request(&self, channel: &str, letter: Bytes) -> Request {
        let mut headers = vec![("content-type".to_owned(), b"message/rfc822".to_vec())];
        let mut add = |name: &str, value: &str| headers.push((name.to_owned(), value.as_bytes().to_vec()));
        if let Some(from) = &self.mail_from {
            add("mail-from", from);
        }
        self.rcpt_to.iter().for_each(|to| add("rcpt-to", to));
        self.helo.iter().for_each(|helo| add("helo", helo));
        self.parameters.iter().for_each(|parameter| add("parameter", parameter));
        if self.tls {
            add("tls", "yes");
        }
        if let Some(place) = &self.place {
            add("folder", &place.folder);
            add("uid-validity", &place.uid_validity.to_string());
            add("uid", &place.uid.to_string());
        }
        let method = self.protocol.unwrap_or(Protocol::Webhook).name().to_owned();
        Request { method, target: format!("/in/{channel}"), headers, body: letter }
    }

    /// What [`Envelope::request`] wrote. A request of a provider has none of it.
    pub fn of(request: &Request) -> Self {
        let protocol = [Protocol::Smtp, Protocol::Lmtp, Protocol::Imap].into_iter();
        let protocol = protocol.into_iter().find(|protocol| protocol.name() == request.method);
        let Some(protocol) = protocol else { return Self { protocol: Some(Protocol::Webhook), ..Self::default() } };
        let all = |name: &str| -> Vec<String> {
            request
                .headers
                .iter()
                .filter(|(header, _)| header == name)
                .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
                .collect()
        };
        let first = |name: &str| all(name).into_iter().next();
        let number = |name: &str| first(name).and_then(|number| number.parse().ok());
        let place = first("folder").zip(number("uid-validity")).zip(number("uid"));
        Self {
            protocol: Some(protocol),
            mail_from: first("mail-from"),
            rcpt_to: all("rcpt-to"),
            helo: first("helo"),
            parameters: all("parameter"),
            tls: first("tls").is_some(),
            place: place.map(|((folder, uid_validity), uid)| Place { folder, uid_validity, uid }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_reads_back_from_the_receipt_as_it_was() {
        let smtp = Envelope {
            protocol: Some(Protocol::Smtp),
            mail_from: Some(String::new()),
            rcpt_to: vec!["lapor@kota.example".to_owned(), "pak.lurah@kota.example".to_owned()],
            helo: Some("mx.example.org".to_owned()),
            parameters: vec!["BODY=8BITMIME".to_owned()],
            tls: true,
            place: None,
        };
        let place = Place { folder: "INBOX".to_owned(), uid_validity: 7, uid: 4_294_967_295 };
        let imap = Envelope { protocol: Some(Protocol::Imap), place: Some(place), ..Envelope::default() };
        for envelope in [smtp, imap] {
            let request = envelope.request("surat", Bytes::from_static(b"Subject: x\r\n\r\n"));
            assert_eq!(request.header("content-type"), Some("message/rfc822"));
            assert!(Envelope::of(&request) == envelope);
        }
    }
}
