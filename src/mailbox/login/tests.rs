//! Against a scripted server: what goes over the line, and what is made of what comes back.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use proptest::prelude::*;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpListener,
};

use crate::{
    adapter::mail::{After, Credential, Mailbox, OAuth, Security, Server},
    http::Http,
    mailbox::{commands::Extent, connection::Connection, token::Token, trouble::Trouble},
    units::Span,
};

const HELLO: &[u8] = b"* OK hello\r\n";
const IN: &[u8] = b"{tag} OK in\r\n";
const CAPABILITIES: &[u8] = b"* CAPABILITY IMAP4rev1 IDLE\r\n{tag} OK done\r\n";

/// A server that greets, and says one thing to each line that it hears; `{tag}` is the tag of the last command. What it heard
/// is given when the client is gone.
async fn server(greeting: &[u8], says: &[&[u8]]) -> (u16, tokio::task::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let greeting = greeting.to_vec();
    let says: Vec<Vec<u8>> = says.iter().map(|words| words.to_vec()).collect();
    let script = async move {
        let (stream, _) = listener.accept().await.expect("a connection");
        let (read, mut write) = stream.into_split();
        let (mut lines, mut heard, mut tag) = (BufReader::new(read).lines(), Vec::new(), String::new());
        write.write_all(&greeting).await.expect("greeted");
        let mut says = says.into_iter();
        while let Ok(Some(line)) = lines.next_line().await {
            if let Some((first, _)) = line.split_once(' ') {
                first.clone_into(&mut tag);
            }
            heard.push(line);
            let Some(words) = says.next() else { break };
            if write.write_all(&tagged(&words, &tag)).await.is_err() {
                break;
            }
        }
        heard
    };
    (port, tokio::spawn(script))
}

fn tagged(words: &[u8], tag: &str) -> Vec<u8> {
    match words.windows(5).position(|window| window == b"{tag}") {
        Some(place) => [&words[..place], tag.as_bytes(), &words[place + 5..]].concat(),
        None => words.to_vec(),
    }
}

fn mailbox(port: u16, security: Security, username: &str, credential: Credential) -> Mailbox {
    Mailbox {
        server: Server { host: "127.0.0.1".into(), port, security, ca_file: None },
        username: username.into(),
        credential,
        folders: vec!["INBOX".into()],
        after: After::Seen,
        poll_every: Span::from_secs(60),
    }
}

async fn open(mailbox: &Mailbox) -> Result<Connection, Trouble> {
    Connection::open(mailbox, &Token::new(Http::for_tests(std::time::Duration::from_secs(5)))).await
}

/// In clear, with a password.
async fn open_at(port: u16, password: &str) -> Result<Connection, Trouble> {
    let credential = Credential::Password(password.to_owned().into());
    open(&mailbox(port, Security::None, "lapor", credential)).await
}

#[tokio::test]
async fn a_password_goes_by_login_or_where_that_cannot_be_by_plain() {
    let disabled = b"* OK [CAPABILITY IMAP4rev1 LOGINDISABLED AUTH=PLAIN] hello\r\n";
    for (greeting, secret, line) in [
        (HELLO, "a\"b\\c", "A0001 LOGIN \"lapor\" \"a\\\"b\\\\c\""),
        (HELLO, "kaféin", "A0001 AUTHENTICATE PLAIN"),
        (disabled, "x", "A0001 AUTHENTICATE PLAIN"),
    ] {
        let is_plain = line.ends_with("PLAIN");
        let says: &[&[u8]] = if is_plain { &[b"+ \r\n", IN, CAPABILITIES] } else { &[IN, CAPABILITIES] };
        let (port, heard) = server(greeting, says).await;
        let connection = open_at(port, secret).await.expect("logged in");
        assert!(connection.capabilities.idle && !connection.capabilities.moves && !connection.is_encrypted);
        drop(connection);
        let heard = heard.await.expect("heard");
        assert_eq!(heard[0], line);
        assert!(!is_plain || heard[1] == STANDARD.encode(format!("\0lapor\0{secret}")), "{heard:?}");
    }
}

#[tokio::test]
async fn a_refusal_holds_the_servers_reason_and_nothing_of_ours() {
    let no = b"{tag} NO [AUTHENTICATIONFAILED] Application-specific password required\r\n";
    let (port, _) = server(HELLO, &[no]).await;
    let error = open_at(port, "s3cret").await.expect_err("refused");
    assert!(matches!(error, Trouble::Refused(_)), "{error:?}");
    assert!(error.to_string().contains("Application-specific password required"), "{error}");

    let (port, _) = server(HELLO, &[b"{tag} BAD what is LOGIN lapor s3cret\r\n"]).await;
    let error = open_at(port, "s3cret").await.expect_err("refused");
    assert!(matches!(error, Trouble::Refused(_)) && !error.to_string().contains("s3cret"), "{error}");
}

#[tokio::test]
async fn a_token_that_is_refused_is_answered_with_an_empty_line() {
    let given = async || r#"{"access_token":"t0ken","expires_in":3600}"#;
    let tokens = axum::Router::new().route("/token", axum::routing::post(given));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, tokens).await });
    let oauth = OAuth {
        token_url: format!("http://{address}/token"),
        client_id: "loket".into(),
        client_secret: None,
        refresh_token: "r".to_owned().into(),
        scope: None,
    };
    let says: &[&[u8]] = &[b"+ \r\n", b"+ eyJzdGF0dXMiOiI0MDAifQ==\r\n", b"{tag} NO AUTHENTICATE failed.\r\n"];
    let (port, heard) = server(HELLO, says).await;

    let error = open(&mailbox(port, Security::None, "a@b.example", Credential::OAuth(oauth))).await;

    let error = error.expect_err("refused");
    assert!(matches!(error, Trouble::Refused(_)) && !error.to_string().contains("t0ken"), "{error}");
    let first = STANDARD.encode("user=a@b.example\x01auth=Bearer t0ken\x01\x01");
    assert_eq!(heard.await.expect("heard"), ["A0001 AUTHENTICATE XOAUTH2", first.as_str(), ""]);
}

#[tokio::test]
async fn no_password_goes_where_starttls_is_refused() {
    let (port, heard) = server(HELLO, &[b"{tag} BAD no TLS here\r\n"]).await;
    let credential = Credential::Password("s3cret".to_owned().into());
    let error = open(&mailbox(port, Security::StartTls, "lapor", credential)).await.expect_err("refused");
    assert!(error.to_string().contains("STARTTLS"), "{error}");
    assert_eq!(heard.await.expect("heard"), ["A0001 STARTTLS"]);
}

#[tokio::test]
async fn a_greeting_that_is_none_ends_it() {
    for (greeting, words) in [
        (&b"* BYE too many connections\r\n"[..], "too many connections"),
        (b"* PREAUTH welcome\r\n", "PREAUTH"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "cannot be understood"),
    ] {
        let (port, _) = server(greeting, &[]).await;
        let error = open_at(port, "x").await.expect_err("no server");
        assert!(matches!(error, Trouble::Lost(_)) && error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_not_taken_for_an_empty_answer() {
    let fetch =
        b"* 1 FETCH (UID 3 BODY[] {2}\r\nhi)\r\n* 2 FETCH (FLAGS (\\Seen))\r\n* 3 FETCH (UID 9 BODY[] {1}\r\nx)\r\n\
                  * 4 FETCH (UID 4 BODY[] NIL)\r\n{tag} NO some could not be fetched\r\n";
    let says: &[&[u8]] =
        &[IN, CAPABILITIES, b"* 5 EXISTS\r\n{tag} NO go away\r\n", b"* SEARCH 7 3\r\n{tag} OK\r\n", fetch];
    let (port, heard) = server(HELLO, says).await;
    let mut connection = open_at(port, "x").await.expect("logged in");

    let error = connection.select("\"INBOX\"").await.expect_err("refused");
    assert!(error.to_string().contains("SELECT: go away"), "{error}");
    // `7:*` gives the last letter even when there is none beyond 7.
    assert!(connection.beyond(7).await.expect("an answer").is_empty());
    let letters = connection.letters(&[3, 4], Extent::Whole).await.expect("an answer");
    assert_eq!(letters.into_iter().collect::<Vec<_>>(), [(3, "hi".into())], "nobody asked for 9");

    drop(connection);
    let heard = heard.await.expect("heard");
    assert_eq!(heard[3..], ["A0004 UID SEARCH UID 8:*", "A0005 UID FETCH 3:4 (UID BODY.PEEK[])"]);
}

/// Words that servers say, and anything else.
fn talk() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        Just(b"* 1 FETCH (UID 3 BODY[] {2}\r\nhi)\r\n".to_vec()),
        Just(b"* 1 FETCH (UID 4294967296 RFC822.SIZE -1)\r\n".to_vec()),
        Just(b"* SEARCH 3 4 99999999999\r\n".to_vec()),
        Just(b"* 4294967295 EXISTS\r\n* 1 EXPUNGE\r\n".to_vec()),
        Just(b"* OK [UIDVALIDITY 0] \xff\r\n".to_vec()),
        Just(b"* BYE\r\n".to_vec()),
        Just(b"+ \r\n".to_vec()),
        Just(b"A0002 OK\r\n".to_vec()),
        Just(b"{tag} OK\r\n".to_vec()),
        Just(b"{99}\r\n".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..20),
    ];
    proptest::collection::vec(word, 0..8).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_a_server_says_is_an_answer_or_an_error(answers in proptest::collection::vec(talk(), 3)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let says: Vec<&[u8]> = [IN, CAPABILITIES].into_iter().chain(answers.iter().map(Vec::as_slice)).collect();
            let (port, server) = server(HELLO, &says).await;
            let mut connection = open_at(port, "x").await.expect("logged in");
            // The server says no more after its last word: whoever waits for more must not wait for ever.
            let exchange = async {
                connection.select("\"INBOX\"").await?;
                connection.beyond(2).await?;
                connection.letters(&[3], Extent::Whole).await.map(|_| ())
            };
            let _ = tokio::time::timeout(std::time::Duration::from_millis(50), exchange).await;
            server.abort();
        });
    }
}
