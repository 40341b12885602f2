//! S3-compatible storage for tests: a private moto on the loopback interface, which checks every signature. It goes when its
//! value is dropped. `scripts/test` installs it.

use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use loket::media::shelf::bucket::Access;
use secrecy::ExposeSecret as _;

use crate::redis_servers::free_port;

pub const BUCKET: &str = "loket-test";
/// Requests that are answered before signatures count: the user, its key, its rights, and the bucket.
const UNSIGNED: &str = "4";

pub struct S3 {
    child: Child,
    port: u16,
    access_key: String,
    secret_key: String,
}

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl S3 {
    /// None where there is no moto, as `scripts/test` has said.
    pub async fn start() -> Option<Self> {
        let program = std::env::current_exe().expect("a running program lies somewhere");
        // It lies in `<target>/<profile>/deps`.
        let target = program.ancestors().nth(3).expect("cargo puts tests three folders deep");
        let moto = target.join("consumers/s3/bin/moto_server");
        if !moto.exists() {
            eprintln!("no moto: files in a bucket are not tested");
            return None;
        }
        let port = free_port();
        let mut command = Command::new(moto);
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]).env("INITIAL_NO_AUTH_ACTION_COUNT", UNSIGNED);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("moto starts");
        let mut server = Self { child, port, access_key: String::new(), secret_key: String::new() };
        server.wait().await;
        server.prepare().await;
        Some(server)
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// For a gateway or a shelf of its own below the prefix.
    pub fn access(&self, prefix: &str) -> Access {
        Access {
            bucket: BUCKET.to_owned(),
            prefix: prefix.to_owned(),
            endpoint: Some(self.endpoint()),
            region: "us-east-1".to_owned(),
            access_key: self.access_key.clone().into(),
            secret_key: self.secret_key.clone().into(),
            path_style: true,
        }
    }

    /// The keys as they stand in a file of secrets.
    pub fn keys(&self) -> [String; 2] {
        let access = self.access("");
        [access.access_key, access.secret_key].map(|key| key.expose_secret().to_owned())
    }

    async fn wait(&self) {
        let begun = Instant::now();
        while tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
            assert!(begun.elapsed() < Duration::from_mins(1), "moto does not listen");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn prepare(&mut self) {
        #[expect(clippy::disallowed_methods, reason = "the client of a test is no part of the gateway")]
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let iam = async |action: &str| {
            let request =
                client.post(self.endpoint()).header("authorization", nobody("iam")).header("host", "iam.amazonaws.com");
            let request = request.header("content-type", "application/x-www-form-urlencoded");
            let response = request.body(format!("{action}&UserName=loket&Version=2010-05-08")).send().await;
            let response = response.expect("an answer");
            assert_eq!(response.status(), 200, "{action}");
            response.text().await.expect("a text")
        };
        iam("Action=CreateUser").await;
        let keys = iam("Action=CreateAccessKey").await;
        let between = |tag: &str| {
            let (_, rest) = keys.split_once(&format!("<{tag}>")).expect("a key");
            rest.split('<').next().unwrap_or_default().to_owned()
        };
        let (access_key, secret_key) = (between("AccessKeyId"), between("SecretAccessKey"));
        let policy = "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow%22%2C%22Action%22%3A%22s3%3A%2A%22%2C%22Resource%22%3A%22%2A%22%7D%5D%7D";
        iam(&format!("Action=PutUserPolicy&PolicyName=all&PolicyDocument={policy}")).await;
        let bucket =
            client.put(format!("{}/{BUCKET}", self.endpoint())).header("authorization", nobody("s3")).send().await;
        assert_eq!(bucket.expect("an answer").status(), 200, "a bucket");
        (self.access_key, self.secret_key) = (access_key, secret_key);
    }
}

/// The first requests need a header all the same: it says which service is meant.
fn nobody(service: &str) -> String {
    format!("AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0")
}
