//! Redis servers of our own, to be stopped, filled and demoted as a scenario likes.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use adapters::entropy;
use adapters::http::trust::Trust;
use adapters::store::port::Replays as _;
use adapters::store::redis::{BreakerState, Budget, Credentials, Prefix, RedisConfig, RedisStore, Servers};
use policies::code::Outage;
use policies::time::Timestamp;
use scenarios::world::{Folder, PATIENCE};

/// The time of claims; no clock runs here.
pub const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
/// For how long they are kept.
pub const KEEP: Duration = Duration::from_secs(325);

/// How often it is looked whether something has come to be.
const LOOK: Duration = Duration::from_millis(20);

/// So long that no busy machine makes an answer late.
pub const PATIENT: Budget = Budget { soft: Duration::from_secs(2), hard: Duration::from_secs(3), ..Budget::PRODUCT };

/// A server; ended when dropped.
#[derive(Debug)]
pub struct Server {
    pub address: SocketAddr,
    child: Option<Child>,
    folder: Folder,
    options: Vec<String>,
}

impl Server {
    /// Starts one on a port of its own.
    pub fn start(options: &[&str]) -> Self {
        let mut server = Self::planned(options);
        // Somebody may take the port before the server does; then another is found.
        while server.child.is_none() {
            server.address = free();
            server.child = server.spawn();
        }
        server
    }

    /// Chooses a port, and does not start yet.
    pub fn planned(options: &[&str]) -> Self {
        // The message of a missing environment comes before that of a missing program.
        let _ = scenarios::world::real::redis();
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        Self { address: free(), child: None, folder: Folder::new(), options }
    }

    /// Starts a Sentinel that watches over a master by the name of `qaqpa`.
    pub fn sentinel(master: SocketAddr) -> Self {
        let mut sentinel = Self::planned(&["--sentinel"]);
        let text = format!(
            "sentinel monitor qaqpa {} {} 1\nsentinel down-after-milliseconds qaqpa 1000\n\
             sentinel failover-timeout qaqpa 5000\n",
            master.ip(),
            master.port()
        );
        std::fs::write(sentinel.file("sentinel.conf"), text).unwrap();
        sentinel.options.insert(0, sentinel.file("sentinel.conf"));
        sentinel.again();
        sentinel
    }

    /// Starts it again on its port, with what it has written down, if anything.
    pub fn again(&mut self) {
        self.stop();
        self.child = self.spawn();
        assert!(self.child.is_some(), "the port was taken by somebody else");
    }

    /// Kills it.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Says something to it in clear text and returns the first line of the answer.
    pub fn ask(&self, words: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(format!("{words}\r\n").as_bytes()).unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Says something to it and returns what it answers in the first moment.
    pub fn says(&self, words: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(LOOK * 10)).unwrap();
        stream.write_all(format!("{words}\r\n").as_bytes()).unwrap();
        let mut bytes = Vec::new();
        // It keeps the connection open: what came until the time is over is the answer.
        let _ = stream.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Says something to it that it agrees to.
    pub fn tell(&self, words: &str) {
        assert_eq!(self.ask(words), "+OK", "{words}");
    }

    /// Returns a file that is gone with it.
    pub fn file(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// Adds an option for the next start.
    pub fn option(&mut self, name: &str, value: &str) {
        self.options.extend([name.to_owned(), value.to_owned()]);
    }

    fn spawn(&self) -> Option<Child> {
        let mut command = Command::new("redis-server");
        let port = self.address.port().to_string();
        // A configuration file comes first.
        let (files, options): (Vec<_>, Vec<_>) = self.options.iter().partition(|option| option.ends_with(".conf"));
        command.args(files);
        if options.contains(&&"--sentinel".to_owned()) {
            command.args(["--daemonize", "no"]);
        } else {
            command.args(["--save", ""]);
        }
        if self.options.iter().any(|option| option == "--tls-port") {
            command.args(["--port", "0"]);
        } else {
            command.args(["--port", &port]);
        }
        let options = options.into_iter().map(|option| if option == "PORT" { &port } else { option });
        command.args(["--bind", "127.0.0.1", "--dir"]).arg(self.folder.path()).args(options);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            while output.read_line(&mut line).is_ok_and(|count| count > 0) {
                if line.contains("Ready to accept connections") || line.contains("Sentinel ID is") {
                    let _ = tell.send(());
                }
                line.clear();
            }
            // What it says later is read too, or it would wait for us.
            let _ = output.read_to_end(&mut Vec::new());
        });
        if told.recv_timeout(PATIENCE).is_ok() {
            return Some(child);
        }
        let _ = child.kill();
        let _ = child.wait();
        None
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Configures a store with a prefix of its own.
pub fn settings(servers: Servers, budget: Budget) -> RedisConfig {
    let prefix = Prefix::parse(&format!("s{}", u64::from_le_bytes(entropy::random()))).unwrap();
    let trust = Trust::nobody().unwrap();
    RedisConfig { servers, trust, credentials: None::<Credentials>, sentinel_credentials: None, prefix, budget }
}

/// Opens a store on the server at `address`.
pub fn store(address: SocketAddr, budget: Budget) -> RedisStore {
    let servers = Servers::single(&[format!("redis://{address}")]).unwrap();
    RedisStore::open(settings(servers, budget)).unwrap()
}

/// Claims a key that nobody has claimed.
pub async fn claim_new(store: &RedisStore) -> Result<bool, Outage> {
    claim(store, entropy::random()).await
}

/// Claims a key.
pub async fn claim(store: &RedisStore, key: [u8; 32]) -> Result<bool, Outage> {
    store.claim("one", key, NOW + KEEP, NOW).await
}

/// Checks that a store gives nothing but outages, each in seconds, until its breaker opens and beyond; gives the first.
pub async fn gives_only_outages(store: &RedisStore) -> Outage {
    let (mut first, mut beyond) = (None, 0);
    for _ in 0..100 {
        let begun = Instant::now();
        let outage = claim_new(store).await.unwrap_err();
        assert!(begun.elapsed() < PATIENCE, "{outage}");
        first.get_or_insert(outage);
        if store.readings().breaker != BreakerState::Closed {
            beyond += 1;
        }
        if beyond > 3 {
            return first.unwrap();
        }
    }
    panic!("the breaker does not open: {:?}", store.readings());
}

/// Waits until a store works again by itself, and checks that it then tells fresh from shown.
pub async fn recovers(store: &RedisStore) {
    until("the store works again", async || claim_new(store).await.is_ok_and(|fresh| fresh)).await;
    let key = entropy::random();
    // A probe that was late may have opened the breaker again on a busy machine: then once more.
    until("a key is claimed", async || claim(store, key).await.is_ok()).await;
    until("it is found", async || claim(store, key).await.is_ok_and(|fresh| !fresh)).await;
}

/// Looks until something is so.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let mut look = tokio::time::interval(LOOK);
    let looking = async {
        while !is_so().await {
            look.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}
