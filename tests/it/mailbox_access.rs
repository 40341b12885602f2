//! The way into a mailbox: certificates, passwords, tokens, and what the doctor says of them. Against a real Dovecot.

use std::{
    collections::BTreeMap,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Form, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{
    dovecot::{Dovecot, Proxy, Rule, USER},
    harness::{World, until},
    mailbox::{channel, letter, reading, settings},
};

/// Asks the doctor: whether it is satisfied, and what it says.
fn doctor(world: &World) -> (bool, Value) {
    let folder = world.folder.path();
    let output = Command::new(env!("CARGO_BIN_EXE_loket"))
        .args(["channel", "doctor", "surat", "--json"])
        .env("LOKET_CONFIG_DIR", folder.join("config"))
        .env("LOKET_CHANNELS_DIR", folder.join("channels"))
        .output()
        .expect("the program runs");
    (output.status.success(), serde_json::from_slice(&output.stdout).expect("one document"))
}

/// A provider of access tokens: what it gave last is good, as the mail server asks it.
#[derive(Clone, Default)]
struct Provider {
    given: Arc<AtomicUsize>,
    revoked: Arc<AtomicUsize>,
}

impl Provider {
    async fn listen(&self) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let router =
            Router::new().route("/token", post(Self::token)).route("/who", get(Self::who)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        port
    }

    #[expect(clippy::unused_async, reason = "the shape of a handler")]
    async fn token(State(provider): State<Self>, Form(fields): Form<BTreeMap<String, String>>) -> (StatusCode, String) {
        let is = |name: &str, value: &str| fields.get(name).is_some_and(|found| found == value);
        if !is("grant_type", "refresh_token") || !is("refresh_token", "refresh+1") || !is("client_id", "loket") {
            return (StatusCode::BAD_REQUEST, json!({ "error": "invalid_grant" }).to_string());
        }
        let number = provider.given.fetch_add(1, Ordering::SeqCst) + 1;
        (StatusCode::OK, json!({ "access_token": format!("access-{number}"), "expires_in": 3600 }).to_string())
    }

    #[expect(clippy::unused_async, reason = "the shape of a handler")]
    async fn who(State(provider): State<Self>, headers: HeaderMap) -> String {
        let token = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let number: usize = token.trim_start_matches("Bearer access-").parse().unwrap_or_default();
        let is_good = number > provider.revoked.load(Ordering::SeqCst);
        json!({ "active": is_good, "email": USER }).to_string()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_certificate_is_refused_and_the_operators_own_is_trusted() {
    let dovecot = Dovecot::start().await;
    dovecot.deliver("INBOX", "1.M1P1.host", &letter(1));
    for (security, port) in [("tls", dovecot.tls_port), ("starttls", dovecot.port)] {
        let world = World::prepare().await;
        world.manifest("imap");
        let secured = format!("security = \"{security}\"\n");
        channel(&world, &settings(port, &secured));
        let world = world.serve().await;
        until("a failure", async || (world.metric("loket_mailbox_failures_total", "surat").await > 0).then_some(()))
            .await;
        assert_eq!(world.metric("loket_mailbox_letters_total", "surat").await, 0);
        assert!(!dovecot.log().contains("Login: user"), "nothing was said over a line that nobody vouches for");

        // The operator names the authority, and the running gateway takes it up.
        let trusted = format!("{secured}ca_file = \"{}\"", dovecot.authority().display());
        channel(&world, &settings(port, &trusted));
        world.wait_for_events(1).await;
        assert!(dovecot.log().contains(", TLS, "), "{}", dovecot.log());
        world.finish().await;
        std::fs::write(dovecot.authority().with_file_name("log"), "").expect("a new log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_told_and_a_right_one_is_taken_up() {
    let dovecot = Dovecot::start().await;
    dovecot.deliver("INBOX", "1.M1P1.host", &letter(1));
    let world = reading(dovecot.port, "").await;
    world.wait_for_events(1).await;

    world.write("config/mail_password", "salah");
    let set = format!("{}\n", settings(dovecot.port, "security = \"none\"\n# changed"));
    world.write(
        "config/channels/surat.toml",
        &format!("manifest = \"imap\"\n[settings]\n{set}password = {{ file = \"mail_password\" }}\n"),
    );
    until("a failure", async || (world.metric("loket_mailbox_failures_total", "surat").await > 0).then_some(())).await;

    dovecot.deliver("INBOX", "2.M1P1.host", &letter(2));
    channel(&world, &settings(dovecot.port, "security = \"none\"\n# mended"));
    world.wait_for_events(2).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_says_what_a_mailbox_can_do_and_what_is_wrong() {
    let dovecot = Dovecot::start().await;
    dovecot.deliver("INBOX", "1.M1P1.host", &letter(1));
    let world = World::prepare().await;
    world.manifest("imap");
    let clear = "security = \"none\"\n";

    channel(&world, &settings(dovecot.port, clear));
    let (is_good, said) = doctor(&world);
    assert!(is_good && said["credentials"] == "good", "{said}");
    let mailbox = &said["mailbox"];
    assert!(mailbox["idle"] == true && mailbox["move"] == true && mailbox["uidplus"] == true, "{said}");
    assert_eq!((&mailbox["folders"][0]["name"], &mailbox["folders"][0]["letters"]), (&"INBOX".into(), &1.into()));

    let more = format!("{clear}folders = \"INBOX, Hilang\"\nafter = \"move\"\nmove_to = \"Selesai\"");
    channel(&world, &settings(dovecot.port, &more));
    let (is_good, said) = doctor(&world);
    let detail = said["detail"].as_str().expect("words");
    assert!(!is_good && detail.contains("Hilang") && detail.contains("Selesai"), "{said}");

    channel(&world, &settings(dovecot.port, clear));
    world.write("config/mail_password", "salah");
    let (is_good, said) = doctor(&world);
    assert!(!is_good && said["credentials"] == "bad", "{said}");
    assert!(!said.to_string().contains("salah"), "{said}");

    let closed = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address").port();
    channel(&world, &settings(closed, clear));
    let (is_good, said) = doctor(&world);
    assert!(!is_good && said["credentials"] == "unknown", "{said}");
    assert_eq!(dovecot.seen("INBOX"), 0, "the doctor changes nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn xoauth2_asks_for_a_token_and_for_another_when_it_is_refused() {
    let provider = Provider::default();
    let port = provider.listen().await;
    let lines = "auth_mechanisms = plain xoauth2\npassdb {\n driver = oauth2\n mechanisms = xoauth2\n\
                 args = {folder}/oauth2.conf\n}\n";
    let oauth2 = format!(
        "introspection_mode = auth\nintrospection_url = http://127.0.0.1:{port}/who\nforce_introspection = yes\n\
         username_attribute = email\nactive_attribute = active\nactive_value = true\n"
    );
    let dovecot = Dovecot::with_files(lines, &[("oauth2.conf", &oauth2)]).await;
    dovecot.deliver("INBOX", "1.M1P1.host", &letter(1));
    let world = World::prepare().await;
    world.manifest("imap");
    world.write("config/refresh", "refresh+1");
    let oauth = format!(
        "security = \"none\"\ntoken_url = \"http://127.0.0.1:{port}/token\"\nclient_id = \"loket\"\n\
         refresh_token = {{ file = \"refresh\" }}\n"
    );
    let proxy = Proxy::before(dovecot.port).await;
    channel(&world, &settings(proxy.port, &oauth));

    let world = world.serve().await;
    world.wait_for_events(1).await;
    assert_eq!(provider.given.load(Ordering::SeqCst), 1);

    // The connection goes, and with it the word of the first token.
    provider.revoked.store(1, Ordering::SeqCst);
    proxy.set(Rule::CutAtClient("DONE"));
    dovecot.deliver("INBOX", "2.M1P1.host", &letter(2));
    until("a cut", async || (proxy.cuts() > 0).then_some(())).await;
    proxy.set(Rule::Pass);
    world.wait_for_events(2).await;
    assert_eq!(provider.given.load(Ordering::SeqCst), 2);

    // A refresh token that is no longer good is told, by the doctor too.
    world.write("config/refresh", "refresh+old");
    let (is_good, said) = doctor(&world);
    assert!(!is_good && said["credentials"] == "bad", "{said}");
    assert!(said["detail"].as_str().is_some_and(|words| words.contains("refresh token")), "{said}");
    world.finish().await;
}
