//! Servers that are away, slow, restarted or not ours.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use policies::limit::WithoutStore;
use redis::{Value, cmd};
use tokio::net::{TcpListener, TcpStream};

use super::super::places::May;
use super::super::script::{Moment, Part, Verb, count, said};
use super::*;
use crate::limit::asked::{Asked, Untaken};
use crate::limit::limits::{Limits, Taken};
use crate::limit::local::LocalLimiter;
use crate::store::redis::tests::{at, of_full_run, raw, stand_in};
use crate::store::redis::{BreakerState, Budget, Servers};

async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

fn short(hard: u64) -> Budget {
    let hard = Duration::from_millis(hard);
    Budget { hard, soft: hard, open: 60 * SECOND, ..Budget::PRODUCT }
}

#[tokio::test]
async fn a_server_that_has_forgotten_the_script_is_told_it_again() {
    let limiter = open();
    let thrice = limit("l", quota(3, Window::Month));
    for left in [2, 1, 0] {
        assert_eq!(take(&limiter, &thrice).await.remaining, left);
        let () = cmd("SCRIPT").arg("FLUSH").query_async(&mut raw().await).await.unwrap();
    }
    assert!(!take(&limiter, &thrice).await.admitted);
    assert_eq!(limiter.readings().link.failures, 0);
}

#[tokio::test]
async fn a_memory_that_is_lost_opens_a_limit_once_and_no_more() {
    for shape in [bucket(1, HOUR, 5), quota(5, Window::Month), sessions(5, 5, 5, HOUR)] {
        let [limiter, other] = gateways();
        let five = limit("l", shape);
        assert_eq!(admitted(&limiter, &five, 8).await + admitted(&other, &five, 8).await, 5);
        let keys: Vec<String> =
            cmd("KEYS").arg(format!("{}:*", limiter.prefix.as_str())).query_async(&mut raw().await).await.unwrap();
        let () = cmd("DEL").arg(keys).query_async(&mut raw().await).await.unwrap();
        // What each knows still holds; who knows nothing lets one burst more through.
        assert_eq!(admitted(&limiter, &five, 8).await, 0);
        limiter.beat().await.unwrap();
        other.reset(&[counted(&five)]).await.unwrap();
        assert_eq!(admitted(&other, &five, 8).await, 5, "{five:?}");
        assert_eq!(admitted(&limiter, &five, 8).await, 0, "{five:?}");
    }
}

/// A server of one test; it ends with it.
struct Own {
    child: Child,
    address: SocketAddr,
}

impl Own {
    async fn start(address: SocketAddr) -> Self {
        let port = address.port().to_string();
        let options = ["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", "/tmp"];
        let child = Command::new("redis-server").args(options).stdout(Stdio::null()).spawn().unwrap();
        let begun = Instant::now();
        while TcpStream::connect(address).await.is_err() {
            assert!(begun.elapsed() < 20 * SECOND);
            tokio::task::yield_now().await;
        }
        Self { child, address }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_server_that_is_restarted_gives_one_burst_more_at_most() {
    let own = Own::start(nobody().await).await;
    let budget = Budget { open: Duration::from_millis(100), ..PATIENT };
    let limiter = SharedLimiter::open(config(at(own.address), budget)).unwrap();
    let five = limit("l", bucket(1, HOUR, 5));
    assert_eq!(admitted(&limiter, &five, 4).await, 4);
    let address = own.address;
    drop(own);
    let _own = Own::start(address).await;
    let one = [counted(&five)];
    let begun = Instant::now();
    let mut more = 0;
    while more < 6 && begun.elapsed() < 20 * SECOND {
        match limiter.take(&one, "", now()).await {
            Ok(taken) if taken.counted => more += 1,
            Ok(_) => break,
            Err(_) => tokio::task::yield_now().await,
        }
    }
    assert_eq!(more, 5);
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up_in_time_and_then_not_asked() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for address in [silent.local_addr().unwrap(), nobody().await] {
        let limiter = SharedLimiter::open(config(at(address), short(50))).unwrap();
        let once = limit("l", quota(1, Window::Month));
        let one = [counted(&once)];
        let begun = Instant::now();
        let mut asked = 0;
        while limiter.readings().link.breaker == BreakerState::Closed {
            asked += 1;
            let outage = limiter.take(&one, "", now()).await.unwrap_err();
            assert!(asked <= 100 && outage.port == "limits");
        }
        // Five times fifty milliseconds, and what a busy machine takes.
        assert!(begun.elapsed() < 10 * SECOND);
        let outage = limiter.take(&one, "", now()).await.unwrap_err();
        assert!(outage.after.is_some() && outage.cause.contains("nothing is sent"), "{outage}");
        assert!(limiter.beat().await.is_err() && limiter.read(&one, now()).await.is_err());
        assert!(limiter.reset(&one).await.is_err());
        assert_eq!(limiter.alive().get(), 1);
    }
}

async fn away() -> Limits {
    let shared = SharedLimiter::open(config(at(nobody().await), short(20))).unwrap();
    Limits::with_shared(LocalLimiter::new(), Arc::new(shared))
}

async fn ask(limits: &Limits, asked: &[&Limit]) -> Result<Taken, Untaken> {
    let all: Vec<_> = asked.iter().map(|limit| counted(limit)).collect();
    limits.take(&Asked { limits: &all, owner: "shop", call: "", now: now() }).await
}

#[tokio::test]
async fn without_the_servers_each_limit_says_for_itself_what_holds() {
    let limits = away().await;
    let without = |without_store| Limit { without_store, ..limit("l", quota(4, Window::Month)) };
    let [allow, share, deny] = WithoutStore::ALL.map(without);
    for _ in 0..8 {
        let taken = ask(&limits, &[&allow]).await.unwrap();
        assert!(taken.verdicts[0].admitted);
    }
    let Err(Untaken::Outage { limit, outage }) = ask(&limits, &[&allow, &deny]).await.map(drop) else { unreachable!() };
    assert_eq!((limit.as_ref(), outage.port.as_str()), ("l", "limits"));
    // One that only reports refuses nobody.
    assert!(ask(&limits, &[&Limit { mode: Mode::Report, ..deny }]).await.unwrap().verdicts[0].admitted);
    // Two are alive, as far as is known: half of it is ours.
    limits.shared().unwrap().set_alive(2);
    for admitted in [true, true, false] {
        let taken = ask(&limits, &[&share, &allow]).await.unwrap();
        assert_eq!((taken.verdicts[0].admitted, taken.verdicts[1].admitted), (admitted, true));
    }
}

#[tokio::test]
async fn what_was_counted_without_the_servers_is_reset_too() {
    let limits = away().await;
    limits.shared().unwrap().set_alive(2);
    let share = Limit { without_store: WithoutStore::LocalShare, ..limit("share", lookups(1, HOUR, 4)) };
    for _ in 0..2 {
        for admitted in [true, true, false] {
            assert_eq!(ask(&limits, &[&share]).await.unwrap().verdicts[0].admitted, admitted);
        }
        // The servers hear nothing of it, and who asked is told so.
        let all = [counted(&share)];
        assert!(limits.reset(&Asked { limits: &all, owner: "shop", call: "", now: now() }).await.is_err());
    }
}

#[tokio::test]
async fn without_the_servers_calls_under_way_are_still_counted_once() {
    let limits = away().await;
    let parallel = limit("parallel", Shape::InFlight(some(1)));
    let share = limit("share", lookups(1, HOUR, 100));
    let first = ask(&limits, &[&parallel, &share]).await.unwrap();
    assert!(first.verdicts.iter().all(|verdict| verdict.admitted));
    assert!(!ask(&limits, &[&parallel, &share]).await.unwrap().verdicts[0].admitted);
    drop(first);
    let mut second = ask(&limits, &[&parallel, &share]).await.unwrap();
    assert!(second.verdicts.iter().all(|verdict| verdict.admitted));
    // Costs are settled here, too.
    limits.settle(&mut second.holds, Some(404), now()).await;
    let third = ask(&limits, &[&share]).await.unwrap();
    assert_eq!(third.verdicts[0].remaining, 100 - 1 - 20 - 1);
}

#[tokio::test]
async fn no_answer_but_our_own_lets_a_call_pass() {
    let sayings: [&'static [u8]; 11] = [
        b"+OK\r\n",
        b":1\r\n",
        b"*0\r\n",
        b"*2\r\n:1\r\n:1\r\n",
        b"*5\r\n:1\r\n:1\r\n:1\r\n:0\r\n$0\r\n\r\n",
        b"*6\r\n:1\r\n:1\r\n:1\r\n:0\r\n:0\r\n$3\r\nx y\r\n",
        b"*6\r\n:1\r\n:3\r\n:1\r\n:0\r\n:0\r\n$0\r\n\r\n",
        b"*6\r\n:1\r\n:1\r\n:2\r\n:0\r\n:0\r\n$0\r\n\r\n",
        b"*6\r\n:1\r\n:1\r\n:1\r\n:-1\r\n:2\r\n$0\r\n\r\n",
        b"-OOM command not allowed when used memory > 'maxmemory'.\r\n",
        b"-MOVED 1 127.0.0.1:1\r\n",
    ];
    let once = limit("l", quota(1, Window::Month));
    for says in sayings {
        let (address, _) = stand_in(says).await;
        let limiter = SharedLimiter::open(config(at(address), PATIENT)).unwrap();
        let taken = limiter.take(&[counted(&once)], "", now()).await;
        assert!(taken.is_err(), "{}: {taken:?}", String::from_utf8_lossy(says));
    }
    let (address, _) = stand_in(b"*6\r\n:1800000000000\r\n:1\r\n:1\r\n:0\r\n:0\r\n$0\r\n\r\n").await;
    let limiter = SharedLimiter::open(config(at(address), PATIENT)).unwrap();
    assert!(limiter.take(&[counted(&once)], "", now()).await.unwrap().counted);
}

/// One that goes on however often it fails.
fn enduring() -> SharedLimiter {
    SharedLimiter::open(config(single(), Budget { failures_max: 100, ..PATIENT })).unwrap()
}

#[tokio::test]
async fn what_is_no_counter_of_ours_is_an_outage() {
    let limiter = enduring();
    let mut raw = raw().await;
    let shape = quota(1, Window::Month);
    for (number, foreign) in ["", "1", ";", ";M", ";M1 2 3", "x;M1 2", ";M1 b"].into_iter().enumerate() {
        let key = format!("{}:limit:{{x}}:{number}", limiter.prefix.as_str());
        let () = cmd("SET").arg(&key).arg(foreign).arg("PX").arg(60_000).query_async(&mut raw).await.unwrap();
        let parts = [Part { key: &key, shape: &shape, enforced: true, tokens: 0 }];
        let call = count(Verb::Take, Moment { call: 1, now: now(), time: None, may: May::All }, &parts);
        let outage = limiter.call(call).await.unwrap_err();
        assert_eq!(outage.cause, "the server answers FOREIGN", "{foreign}");
    }
}

#[tokio::test]
async fn the_script_refuses_arguments_that_are_none_of_ours() {
    let limiter = enduring();
    let key = format!("{}:limit:{{x}}:1", limiter.prefix.as_str());
    let shape = quota(1, Window::Minute);
    let parts = [Part { key: &key, shape: &shape, enforced: true, tokens: 0 }];
    let good = || count(Verb::Take, Moment { call: 1, now: now(), time: None, may: May::All }, &parts);
    let spoil = [
        (0, "steal"),
        (1, "1"),
        (1, "zzzzzzzzzzzzzzzz"),
        (2, "soon"),
        (3, "all"),
        (4, "X"),
        (6, "many"),
        (7, ""),
        (8, "minute"),
    ];
    for (place, with) in spoil {
        let mut call = good();
        call.arguments[place] = with.to_owned();
        let outage = limiter.call(call).await.unwrap_err();
        assert_eq!(outage.cause, "the server answers ARGUMENTS", "{place} {with}");
    }
    for is_short in [true, false] {
        let mut call = good();
        if is_short {
            call.arguments.truncate(4)
        } else {
            call.keys.clear()
        }
        assert_eq!(limiter.call(call).await.unwrap_err().cause, "the server answers ARGUMENTS");
    }
    // Calls under way are counted nowhere else.
    let under_way = Shape::InFlight(some(1));
    let parts = [Part { shape: &under_way, ..parts[0] }];
    let call = count(Verb::Take, Moment { call: 1, now: now(), time: None, may: May::All }, &parts);
    assert!(limiter.call(call).await.is_err());
    let answer = limiter.call(good()).await.unwrap();
    assert!(matches!(&answer, Value::Array(values) if values.len() == 6));
    assert!(said(&answer, &[]).is_err());
}

#[tokio::test]
async fn a_cluster_counts_across_its_slots() {
    let Some(urls) = of_full_run("QAQPA_TEST_REDIS_CLUSTER") else { return };
    let limiter = SharedLimiter::open(config(Servers::cluster(&urls).unwrap(), PATIENT)).unwrap();
    let rate = Rate { count: some(1), per: HOUR };
    let across = Limit::bucket("across", &[Dimension::Subject], rate, some(3));
    for number in 0..20_u32 {
        let own = limit(&number.to_string(), quota(1, Window::Month));
        let both = [counted(&own), counted(&across)];
        assert_eq!(limiter.take(&both, "", now()).await.unwrap().counted, number < 3, "{number}");
    }
    limiter.beat().await.unwrap();
    assert_eq!(limiter.reset(&[counted(&across)]).await.unwrap(), 1);
}
