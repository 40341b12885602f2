//! Real Redis servers for tests: one alone, behind Sentinel, as a cluster, or with TLS.
//!
//! A server is a process on the loopback interface with a temporary folder; both go when its value is dropped. It writes
//! every change to the disk before it answers, so that [`Server::kill`] loses nothing that was confirmed. Whatever waits here
//! has a deadline, and panics then with the last lines of the logs.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, OpenOptions},
    io,
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time::{sleep, timeout},
};

const HOST: &str = "127.0.0.1";
/// Long enough on a busy machine for a server to read its data, and for a failover with a whole copy of the data.
const PATIENCE: Duration = Duration::from_secs(90);
const SLOTS: u16 = 16384;

/// Below the ports that the system gives to clients, so that no client takes the port of a server that is down for a moment.
/// The port of the cluster bus is 10000 higher, and below them as well.
const PORTS: std::ops::Range<u16> = 20000..22700;
/// Counts up, so that two tests of this program never get the same port.
static NEXT_PORT: AtomicU32 = AtomicU32::new(0);

/// What every server with data starts with. A replica gets its copy at once, where a master would wait for others to join it,
/// and hears from its master every second: a cluster hides a replica that has heard nothing yet.
const DATA: &str = "save \"\"\nappendonly yes\nappendfsync always\nmaxmemory-policy noeviction\n\
                    repl-diskless-sync-delay 0\nrepl-ping-replica-period 1";

/// Whether `valkey-server` is on the PATH.
pub fn valkey() -> bool {
    is_installed("valkey-server")
}

fn is_installed(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

/// What a server answers to a command.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    Nil,
    /// A value, or a status such as `OK`.
    Text(Vec<u8>),
    Number(i64),
    List(Vec<Reply>),
    Error(String),
}

impl Reply {
    /// The text; empty when the answer is something else.
    pub fn text(&self) -> &str {
        if let Self::Text(bytes) = self { str::from_utf8(bytes).unwrap_or_default() } else { "" }
    }

    /// The items of a list; none when the answer is something else.
    pub fn items(&self) -> &[Self] {
        if let Self::List(items) = self { items } else { &[] }
    }

    /// Whether a list of names and values has the value behind the name.
    fn has(&self, name: &str, value: &str) -> bool {
        self.items().chunks_exact(2).any(|pair| pair[0].text() == name && pair[1].text() == value)
    }

    /// Takes one answer in RESP2 off the front; nothing when its end has not come yet.
    fn parse(rest: &mut &[u8]) -> Option<Self> {
        let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
        let line = String::from_utf8_lossy(&rest[..end]);
        *rest = &rest[end + 2..];
        let (kind, line) = line.split_at_checked(1)?;
        Some(match (kind, line.parse::<i64>()) {
            ("+", _) => Self::Text(line.into()),
            (":", Ok(number)) => Self::Number(number),
            ("$" | "*", Ok(-1)) => Self::Nil,
            ("$", Ok(length)) => {
                let (bytes, after) = rest.split_at_checked(usize::try_from(length).ok()?)?;
                *rest = after.get(2..)?;
                Self::Text(bytes.into())
            }
            ("*", Ok(count)) => Self::List((0..count).map(|_| Self::parse(rest)).collect::<Option<_>>()?),
            _ => Self::Error(line.to_owned()),
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Role {
    Data,
    /// Data behind TLS only.
    Encrypted,
    Sentinel,
}

/// One process: `redis-server`, or `valkey-server` where it is installed.
#[derive(Debug)]
pub struct Server {
    program: &'static str,
    role: Role,
    port: u16,
    /// Holds the configuration, the data and the log; a restart finds all three again.
    folder: TempDir,
    /// Nothing while the server is killed.
    child: Option<Child>,
}

impl Server {
    /// Starts `redis-server` with further lines of configuration, and waits until it answers.
    pub async fn start(settings: &[&str]) -> Self {
        Self::launch("redis-server", Role::Data, temporary(), settings).await
    }

    /// Starts `valkey-server` in the same way.
    pub async fn start_valkey(settings: &[&str]) -> Self {
        Self::launch("valkey-server", Role::Data, temporary(), settings).await
    }

    /// The port for clients.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address for a client; with `rediss` when the server speaks TLS.
    pub fn url(&self) -> String {
        format!("{}://{}", if self.role == Role::Encrypted { "rediss" } else { "redis" }, self.address())
    }

    /// Ends the process with SIGKILL, also when it is paused, and waits until it is gone.
    pub fn kill(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let _ = child.kill();
        let _ = child.wait();
    }

    /// Starts the server again with its folder and its port, after killing it where it runs.
    pub async fn restart(&mut self) {
        self.kill();
        if !self.runs().await {
            self.fail("does not start again");
        }
    }

    /// Stops the process where it is: connections stay open, and nothing answers. Returns when it has stopped.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
        let deadline = Instant::now() + PATIENCE;
        // The state is looked at and left there, for a second pause.
        let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        while waitid(WaitId::Pid(self.pid()), options).expect("our own process has a state").is_none() {
            assert!(Instant::now() < deadline, "a paused server still runs\n{}", self.tail());
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Lets a paused process go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Sends one command on a connection of its own. Panics when there is no answer within 10 seconds.
    pub async fn command(&self, words: &[&str]) -> Reply {
        self.ask(words).await.unwrap_or_else(|error| self.fail(&format!("{}: {error}", words.join(" "))))
    }

    /// Goes through a Unix socket in the server's own folder: no other server can answer there, and TLS is not in the way.
    async fn ask(&self, words: &[&str]) -> io::Result<Reply> {
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request.extend(["$", &word.len().to_string(), "\r\n", word, "\r\n"]);
        }
        let exchange = async {
            let mut stream = UnixStream::connect(self.folder.path().join("socket")).await?;
            stream.write_all(request.as_bytes()).await?;
            let mut answer = Vec::new();
            while stream.read_buf(&mut answer).await? > 0 {
                if let Some(reply) = Reply::parse(&mut answer.as_slice()) {
                    return Ok(reply);
                }
            }
            Err(io::ErrorKind::UnexpectedEof.into())
        };
        timeout(Duration::from_secs(10), exchange).await?
    }

    async fn launch(program: &'static str, role: Role, folder: TempDir, settings: &[&str]) -> Self {
        let mut server = Self { program, role, port: 0, folder, child: None };
        for _ in 0..5 {
            // Somebody may take the port before the server does; then it ends, and the next port is tried.
            server.port = free_port();
            let (port, folder) = (server.port, server.folder.path().display());
            let listen = match role {
                Role::Encrypted => format!("port 0\ntls-port {port}"),
                Role::Data | Role::Sentinel => format!("port {port}"),
            };
            let data = if role == Role::Sentinel { "" } else { DATA };
            let common = format!("dir {folder}\nbind {HOST}\nunixsocket {folder}/socket\n{listen}\n{data}");
            let text = format!("{common}\n{}\n", settings.join("\n"));
            fs::write(server.folder.path().join("conf"), text).expect("a configuration");
            if server.runs().await {
                return server;
            }
        }
        server.fail("does not start")
    }

    /// Starts the process; true when it is ready, false when it ended by itself.
    async fn runs(&mut self) -> bool {
        let log = OpenOptions::new().append(true).create(true).open(self.folder.path().join("log")).expect("a log");
        let mut command = Command::new(self.program);
        command.arg(self.folder.path().join("conf")).args((self.role == Role::Sentinel).then_some("--sentinel"));
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a log")).stderr(log);
        self.child = Some(command.spawn().expect("the program is installed, see `missing` and `valkey`"));
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let child = self.child.as_mut().expect("it was started above");
            if child.try_wait().expect("our own process has a state").is_some() {
                self.child = None;
                return false;
            }
            // While it reads its data it answers this command, and hardly another.
            let info = self.ask(&["INFO"]).await;
            if info.is_ok_and(|info| info.text().contains("process_id") && !info.text().contains("\nloading:1")) {
                return true;
            }
            sleep(Duration::from_millis(5)).await;
        }
        self.fail("does not answer")
    }

    fn address(&self) -> String {
        format!("{HOST}:{}", self.port)
    }

    fn pid(&self) -> Pid {
        Pid::from_child(self.child.as_ref().expect("the server was not killed"))
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("our own process takes a signal");
    }

    /// The end of the log, under a line that names the server.
    fn tail(&self) -> String {
        let log = fs::read(self.folder.path().join("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().collect();
        format!("{} {:?}\n{}\n", self.address(), self.role, lines[lines.len().saturating_sub(15)..].join("\n"))
    }

    #[expect(clippy::panic, reason = "a test without its server cannot go on")]
    fn fail(&self, what: &str) -> ! {
        panic!("{} {what}\n{}", self.program, self.tail())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A master, its replica, and three sentinels that put the replica in its place when it does not answer for a second.
#[derive(Debug)]
pub struct Sentinel {
    pub nodes: Vec<Server>,
    sentinels: Vec<Server>,
}

impl Sentinel {
    /// Starts all five, and waits until a failover would work.
    pub async fn start() -> Self {
        let master = Server::start(&[]).await;
        let replica = Server::start(&[&format!("replicaof {HOST} {}", master.port)]).await;
        // A sentinel looks for replicas when it starts, and then every ten seconds only.
        until("a replica in step", [&master, &replica], || in_step(&master, &replica)).await;
        let monitor = format!("sentinel monitor loket {HOST} {} 2", master.port);
        let settings =
            [&monitor, "sentinel down-after-milliseconds loket 1000", "sentinel failover-timeout loket 4000"];
        let mut deployment = Self { nodes: vec![master, replica], sentinels: Vec::new() };
        for _ in 0..3 {
            let sentinel = Server::launch("redis-server", Role::Sentinel, temporary(), &settings).await;
            // It asks after a second by default: a new master that was not asked yet is then taken for dead in the same
            // moment. And it should not need ten seconds to see that a node came back.
            done(&sentinel, &["SENTINEL", "DEBUG", "PING-PERIOD", "500", "INFO-PERIOD", "1000"]).await;
            deployment.sentinels.push(sentinel);
        }
        deployment.wait_in_step().await;
        deployment
    }

    /// The address for a client: all sentinels, and their name for the master.
    pub fn url(&self) -> String {
        format!("redis-sentinel://{}/loket", addresses(&self.sentinels))
    }

    /// Which of the nodes is the master: a sentinel names it and the node agrees. Waits for a failover that is under way.
    pub async fn master(&self) -> usize {
        until("a master", self.all(), || self.named_by(&self.sentinels[0])).await
    }

    /// Waits until all sentinels are ready for a failover, and the other node, which has to run, has all that the master has.
    pub async fn wait_in_step(&self) {
        until("a master with its replica in step", self.all(), || self.agreed()).await;
    }

    fn all(&self) -> impl Iterator<Item = &Server> + Clone {
        self.nodes.iter().chain(&self.sentinels)
    }

    async fn named_by(&self, sentinel: &Server) -> Option<usize> {
        let address = sentinel.ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "loket"]).await.ok()?;
        let port: u16 = address.items().get(1)?.text().parse().ok()?;
        let index = self.nodes.iter().position(|node| node.port == port && node.child.is_some())?;
        let role = self.nodes[index].ask(&["ROLE"]).await.ok()?;
        (role.items().first()?.text() == "master").then_some(index)
    }

    async fn agreed(&self) -> Option<()> {
        let master = self.named_by(&self.sentinels[0]).await?;
        for sentinel in &self.sentinels {
            holds(self.named_by(sentinel).await? == master)?;
            let others = sentinel.ask(&["SENTINEL", "SENTINELS", "loket"]).await.ok()?;
            let replicas = sentinel.ask(&["SENTINEL", "REPLICAS", "loket"]).await.ok()?;
            // A node that seems to be down has another flag beside its role.
            holds(others.items().len() == 2 && others.items().iter().all(|other| other.has("flags", "sentinel")))?;
            let [replica] = replicas.items() else { return None };
            holds(replica.has("flags", "slave") && replica.has("master-link-status", "ok"))?;
        }
        in_step(&self.nodes[master], &self.nodes[1 - master]).await
    }
}

/// Three masters that share the slots evenly. With replicas, node 3 follows node 0, and so on.
#[derive(Debug)]
pub struct Cluster {
    pub nodes: Vec<Server>,
}

impl Cluster {
    /// Starts three masters, and waits until they take commands and know each other.
    pub async fn start() -> Self {
        Self::of(3).await
    }

    /// Starts three masters with a replica each.
    pub async fn with_replicas() -> Self {
        Self::of(6).await
    }

    /// The address for a client: all nodes.
    pub fn url(&self) -> String {
        format!("redis-cluster://{}", addresses(&self.nodes))
    }

    /// Waits until the nodes that run agree on one of them for every slot, and replicas are in step. After the death of a
    /// master with a replica it returns when the replica is in its place.
    pub async fn wait_ok(&self) {
        until("a cluster that agrees", &self.nodes, || self.agreed()).await;
    }

    async fn of(count: u16) -> Self {
        let settings = ["cluster-enabled yes", "cluster-node-timeout 2000", "cluster-announce-ip 127.0.0.1"];
        let mut nodes: Vec<Server> = Vec::new();
        for index in 0..count {
            let node = Server::start(&settings).await;
            done(&node, &["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()]).await;
            if index < 3 {
                let (first, last) = (SLOTS * index / 3, SLOTS * (index + 1) / 3 - 1);
                done(&node, &["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()]).await;
            }
            // All are introduced to all: hearsay would take longer.
            for earlier in &nodes {
                done(&node, &["CLUSTER", "MEET", HOST, &earlier.port.to_string()]).await;
            }
            nodes.push(node);
        }
        for (replica, master) in nodes.iter().skip(3).zip(&nodes) {
            let id = master.command(&["CLUSTER", "MYID"]).await;
            let follow = ["CLUSTER", "REPLICATE", id.text()];
            let follows = || async { holds(replica.ask(&follow).await.ok()?.text() == "OK") };
            until("a replica that has heard of its master", &nodes, follows).await;
        }
        let cluster = Self { nodes };
        cluster.wait_ok().await;
        cluster
    }

    async fn agreed(&self) -> Option<()> {
        let running = self.nodes.iter().filter(|node| node.child.is_some());
        let running: BTreeMap<_, _> = running.map(|node| (i64::from(node.port), node)).collect();
        let mut views = BTreeSet::new();
        for node in running.values() {
            holds(node.ask(&["CLUSTER", "INFO"]).await.ok()?.text().contains("cluster_state:ok"))?;
            let (mut known, mut view) = (BTreeSet::new(), BTreeSet::new());
            for shared in node.ask(&["CLUSTER", "SLOTS"]).await.ok()?.items() {
                // A range of slots, its master, and its replicas; the port is the only number of a node.
                let [Reply::Number(first), Reply::Number(last), owners @ ..] = shared.items() else { return None };
                let values = owners.iter().flat_map(Reply::items);
                let port = |value: &Reply| if let Reply::Number(port) = value { Some(*port) } else { None };
                let ports: Vec<_> = values.filter_map(port).collect();
                view.insert((*first, *last, *ports.first()?));
                known.extend(ports);
            }
            holds(known.iter().eq(running.keys()))?;
            holds(view.iter().map(|(first, last, _)| last + 1 - first).sum::<i64>() == i64::from(SLOTS))?;
            views.insert(view);
            // Only a replica names a port here.
            if let [_, _, Reply::Number(port), ..] = node.ask(&["ROLE"]).await.ok()?.items() {
                in_step(running.get(port)?, node).await?;
            }
        }
        holds(views.len() == 1)
    }
}

/// Starts a server that speaks TLS only; gives the server, and the certificate to trust, `ca.pem`. Beside it lie `client.pem`
/// and `client.key`, for which the server does not ask until `CONFIG SET tls-auth-clients yes`.
pub async fn tls() -> (Server, PathBuf) {
    let folder = temporary();
    let output = Command::new("sh").args(["-ec", CERTIFICATES]).current_dir(folder.path()).output().expect("a shell");
    assert!(output.status.success(), "certificates: {}", String::from_utf8_lossy(&output.stderr));
    let authority = folder.path().join("ca.pem");
    let files = "tls-ca-cert-file ca.pem\ntls-cert-file server.pem\ntls-key-file server.key\ntls-auth-clients no";
    (Server::launch("redis-server", Role::Encrypted, folder, &[files]).await, authority)
}

/// Makes an authority, and certificates for this machine that it signed.
pub const CERTIFICATES: &str = "
echo 'subjectAltName = IP:127.0.0.1, DNS:localhost' > names
make='openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'
$make -x509 -days 30 -subj /CN=ca -keyout ca.key -out ca.pem
for name in server client; do
  $make -subj /CN=$name -keyout $name.key -out $name.csr
  openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile names -out $name.pem
done";

/// Whether the replica follows the master, counts for its `WAIT`, and has all that the master had when it was asked.
async fn in_step(master: &Server, replica: &Server) -> Option<()> {
    let (ours, theirs) = (master.ask(&["ROLE"]).await.ok()?, replica.ask(&["ROLE"]).await.ok()?);
    let [_, Reply::Number(written), Reply::List(replicas)] = ours.items() else { return None };
    let [_, _, Reply::Number(follows), state, Reply::Number(read)] = theirs.items() else { return None };
    let port = replica.port.to_string();
    holds(replicas.iter().any(|listed| listed.items()[1].text() == port))?;
    holds(*follows == i64::from(master.port) && state.text() == "connected" && read >= written)
}

/// A command of the set-up; panics when the answer is not `OK`.
async fn done(server: &Server, words: &[&str]) {
    let reply = server.command(words).await;
    assert_eq!(reply.text(), "OK", "{}: {reply:?}\n{}", words.join(" "), server.tail());
}

/// Tries until the condition gives a value.
async fn until<'a, T, F: Future<Output = Option<T>>>(
    what: &str,
    servers: impl IntoIterator<Item = &'a Server> + Clone,
    condition: impl Fn() -> F,
) -> T {
    let logs = || servers.clone().into_iter().map(Server::tail).collect::<String>();
    let deadline = Instant::now() + PATIENCE;
    loop {
        // A paused server does not hold up the others.
        if let Ok(Some(value)) = timeout(Duration::from_secs(2), condition()).await {
            return value;
        }
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}\n{}", logs());
        sleep(Duration::from_millis(20)).await;
    }
}

/// Lets a condition go on with `?`.
fn holds(fact: bool) -> Option<()> {
    fact.then_some(())
}

pub fn free_port() -> u16 {
    // Another program begins elsewhere.
    let begin = std::process::id().wrapping_mul(619);
    let next = || begin.wrapping_add(NEXT_PORT.fetch_add(1, Ordering::Relaxed)) % PORTS.len() as u32;
    let mut ports = PORTS.map(|_| PORTS.start + next() as u16);
    let is_free = |port| TcpListener::bind((HOST, port)).is_ok();
    ports.find(|port| is_free(*port) && is_free(port + 10000)).expect("one of many ports is free")
}

fn temporary() -> TempDir {
    tempfile::Builder::new().prefix("loket-redis-").tempdir().expect("a folder")
}

fn addresses(servers: &[Server]) -> String {
    servers.iter().map(Server::address).collect::<Vec<_>>().join(",")
}
