//! A real IMAP server for tests: a private Dovecot on the loopback interface, with a maildir in a temporary folder; and a
//! proxy before it that cuts connections, or swallows what goes through. Both go when their value is dropped.

use std::{
    fs,
    net::{Ipv4Addr, TcpStream as Blocking},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::redis_servers::{CERTIFICATES, free_port};

pub const USER: &str = "lapor";
pub const PASSWORD: &str = "rahasia";

/// One process tree. Everybody may log in with [`PASSWORD`].
pub struct Dovecot {
    folder: TempDir,
    child: Option<Child>,
    /// In clear, and by STARTTLS.
    pub port: u16,
    /// TLS from the first byte.
    pub tls_port: u16,
}

impl Dovecot {
    pub async fn start() -> Self {
        Self::with("").await
    }

    /// With further lines of configuration; `{folder}` stands for the server's folder.
    pub async fn with(lines: &str) -> Self {
        Self::with_files(lines, &[]).await
    }

    /// And with further files in its folder.
    pub async fn with_files(lines: &str, files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = folder.path();
        let open = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("its mode");
        // Dovecot's login runs as somebody else when it is started by root, and has to get to its sockets.
        open(root, 0o755);
        for name in ["run", "mail"] {
            fs::create_dir(root.join(name)).expect("a folder");
            open(&root.join(name), 0o777);
        }
        let made = Command::new("sh").args(["-ec", CERTIFICATES]).current_dir(root).output().expect("a shell");
        assert!(made.status.success(), "certificates: {}", String::from_utf8_lossy(&made.stderr));
        for (name, text) in files {
            fs::write(root.join(name), text).expect("a file");
        }
        let mut server = Self { folder, child: None, port: free_port(), tls_port: free_port() };
        fs::write(server.path("conf"), server.configuration(lines)).expect("a configuration");
        server.resume().await;
        server
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The certificate to trust.
    pub fn authority(&self) -> PathBuf {
        self.path("ca.pem")
    }

    fn configuration(&self, lines: &str) -> String {
        let folder = self.folder.path().display().to_string();
        let (user, group) = if rustix::process::geteuid().is_root() {
            ("nobody".to_owned(), "nogroup".to_owned())
        } else {
            (said("id", &["-un"]), said("id", &["-gn"]))
        };
        let (uid, gid) = (said("id", &["-u", &user]), said("id", &["-g", &user]));
        let (port, tls_port) = (self.port, self.tls_port);
        format!(
            "base_dir = {folder}/run\nstate_dir = {folder}/run\nlog_path = {folder}/log\nprotocols = imap\n\
             listen = 127.0.0.1\nssl = yes\nssl_cert = <{folder}/server.pem\nssl_key = <{folder}/server.key\n\
             disable_plaintext_auth = no\ndefault_internal_user = {user}\ndefault_login_user = {user}\n\
             default_internal_group = {group}\nfirst_valid_uid = 0\nmail_max_userip_connections = 100\n\
             mail_location = maildir:{folder}/mail/%u\nauth_failure_delay = 0\nservice anvil {{\n chroot =\n}}\n\
             service imap-login {{\n chroot =\n inet_listener imap {{\n port = {port}\n }}\n\
             inet_listener imaps {{\n port = {tls_port}\n ssl = yes\n }}\n}}\n\
             passdb {{\n driver = static\n args = password={PASSWORD}\n}}\n\
             userdb {{\n driver = static\n args = uid={uid} gid={gid} home={folder}/mail/home-%u\n}}\n{}\n",
            lines.replace("{folder}", &folder)
        )
    }

    /// Starts it (again) and waits until it answers.
    pub async fn resume(&mut self) {
        let mut command = Command::new("dovecot");
        command.arg("-F").arg("-c").arg(self.path("conf"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(command.spawn().expect("dovecot is installed (`dovecot-imapd`)"));
        let deadline = Instant::now() + Duration::from_secs(30);
        while Blocking::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            assert!(Instant::now() < deadline, "dovecot does not start:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Ends it in order: open connections are closed.
    pub fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let _ = kill_process(Pid::from_child(&child), Signal::TERM);
        let _ = child.wait();
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// The maildir of a folder.
    fn maildir(&self, folder: &str) -> PathBuf {
        let user = self.path("mail").join(USER);
        if folder == "INBOX" { user } else { user.join(format!(".{folder}")) }
    }

    /// Delivers a letter as a delivery agent does: written beside, and moved in whole.
    pub fn deliver(&self, folder: &str, name: &str, letter: &[u8]) {
        let maildir = self.maildir(folder);
        for part in ["tmp", "new", "cur"] {
            let path = maildir.join(part);
            if !path.is_dir() {
                fs::create_dir_all(&path).expect("a folder");
                for made in [&path, &maildir, &self.path("mail").join(USER)] {
                    fs::set_permissions(made, fs::Permissions::from_mode(0o777)).expect("its mode");
                }
            }
        }
        let (written, delivered) = (maildir.join("tmp").join(name), maildir.join("new").join(name));
        fs::write(&written, letter).expect("a letter");
        fs::rename(written, delivered).expect("delivered");
    }

    /// File names in a folder. Flags stand behind `:2,`; `S` is `\Seen`.
    pub fn letters(&self, folder: &str) -> Vec<String> {
        let files = |part: &str| fs::read_dir(self.maildir(folder).join(part)).into_iter().flatten();
        let name =
            |entry: std::io::Result<fs::DirEntry>| entry.expect("an entry").file_name().to_string_lossy().into_owned();
        files("new").chain(files("cur")).map(name).collect()
    }

    /// How many letters of a folder are marked as read.
    pub fn seen(&self, folder: &str) -> usize {
        let is_seen = |name: &&String| name.split_once(":2,").is_some_and(|(_, flags)| flags.contains('S'));
        self.letters(folder).iter().filter(is_seen).count()
    }

    /// Loses the numbers of a folder's letters, so that the server gives new ones under another UIDVALIDITY. The server must
    /// not run.
    pub fn renumber(&self, folder: &str) {
        assert!(self.child.is_none(), "a running server keeps its numbers");
        for entry in fs::read_dir(self.maildir(folder)).expect("a folder").map(|entry| entry.expect("an entry")) {
            if entry.file_name().to_string_lossy().starts_with("dovecot") {
                fs::remove_file(entry.path()).expect("removed");
            }
        }
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        self.stop();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("dovecot says:\n{}", lines[lines.len().saturating_sub(20)..].join("\n"));
        }
    }
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().expect("the program is there");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// What a proxy does with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    Pass,
    /// The connection ends when the client says this, before the server hears it.
    CutAtClient(&'static str),
    /// The connection ends when the server says this, before the client hears it.
    CutAtServer(&'static str),
    /// Nothing goes through any more, and nobody is told.
    Swallow,
}

/// Between gateway and server.
pub struct Proxy {
    pub port: u16,
    rule: Arc<Mutex<Rule>>,
    cuts: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
}

impl Proxy {
    pub async fn before(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let proxy = Self {
            port: listener.local_addr().expect("an address").port(),
            rule: Arc::new(Mutex::new(Rule::Pass)),
            cuts: Arc::default(),
            connections: Arc::default(),
        };
        let (rule, cuts, connections) = (proxy.rule.clone(), proxy.cuts.clone(), proxy.connections.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(through(client, port, rule.clone(), cuts.clone()));
            }
        });
        proxy
    }

    pub fn set(&self, rule: Rule) {
        *self.rule.lock().expect("no test panics with the lock") = rule;
    }

    /// Connections that were cut.
    pub fn cuts(&self) -> usize {
        self.cuts.load(Ordering::SeqCst)
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn through(client: TcpStream, port: u16, rule: Arc<Mutex<Rule>>, cuts: Arc<AtomicUsize>) {
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let now = || *rule.lock().expect("no test panics with the lock");
    let up = async {
        let mut bytes = vec![0; 64 << 10];
        while let Ok(count @ 1..) = from_client.read(&mut bytes).await {
            match now() {
                Rule::Swallow => continue,
                Rule::CutAtClient(words) if has(&bytes[..count], words) => return true,
                _ => {}
            }
            if to_server.write_all(&bytes[..count]).await.is_err() {
                break;
            }
        }
        false
    };
    let down = async {
        let mut bytes = vec![0; 64 << 10];
        while let Ok(count @ 1..) = from_server.read(&mut bytes).await {
            match now() {
                Rule::Swallow => continue,
                Rule::CutAtServer(words) if has(&bytes[..count], words) => return true,
                _ => {}
            }
            if to_client.write_all(&bytes[..count]).await.is_err() {
                break;
            }
        }
        false
    };
    let is_cut = tokio::select! { is_cut = up => is_cut, is_cut = down => is_cut };
    cuts.fetch_add(usize::from(is_cut), Ordering::SeqCst);
}

fn has(bytes: &[u8], words: &str) -> bool {
    bytes.windows(words.len()).any(|window| window == words.as_bytes())
}
