//! Four gateways over one Redis: together they let in what one would.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use adapters::clock::Clock;
use adapters::entropy;
use adapters::http::trust::Trust;
use adapters::limit::limits::{Asked, Counted, Limits};
use adapters::limit::local::LocalLimiter;
use adapters::limit::shared::SharedLimiter;
use adapters::store::redis::{Budget, Prefix, RedisConfig, Servers};
use policies::limit::{Dimension, Limit, Quota, Shape, Values, Window};
use redis::cmd;
use tokio::runtime::{Builder, Runtime};

use crate::dice::full;
use crate::rules::{bucket, limit, some};

const GATEWAYS: usize = 4;

/// How many calls each gateway has under way at once.
const CALLERS: usize = 16;

const HOUR: Duration = Duration::from_secs(3600);

/// So long that no busy machine makes an answer late.
const PATIENT: Budget = Budget { soft: Duration::from_secs(4), hard: Duration::from_secs(5), ..Budget::PRODUCT };

fn told() -> String {
    let missing = "QAQPA_TEST_REDIS is not set: eval \"$(tests/services start /tmp/qaqpa-services)\"";
    std::env::var("QAQPA_TEST_REDIS").unwrap_or_else(|_| unreachable!("{missing}"))
}

/// Several gateways with one store.
struct House {
    prefix: String,
    gateways: Vec<Limits>,
}

impl House {
    fn open() -> Self {
        let prefix = format!("accuracy{}", u64::from_le_bytes(entropy::random()));
        let gateway = || {
            let config = RedisConfig {
                servers: Servers::single(&[told()]).unwrap(),
                trust: Trust::nobody().unwrap(),
                credentials: None,
                sentinel_credentials: None,
                prefix: Prefix::parse(&prefix).unwrap(),
                budget: PATIENT,
            };
            let shared = Arc::new(SharedLimiter::open(config).unwrap());
            Limits::with_shared(LocalLimiter::new(), shared)
        };
        Self { gateways: (0..GATEWAYS).map(|_| gateway()).collect(), prefix }
    }

    /// Lets every gateway call as often as it can, on a thread of its own, while `more` says so of how many were let in.
    fn storm(&self, limits: &[&Limit], more: impl Fn(u64) -> bool + Sync) -> u64 {
        let admitted = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for gateway in &self.gateways {
                let (admitted, more) = (&admitted, &more);
                scope.spawn(move || {
                    let callers = async {
                        let callers: Vec<_> = (0..CALLERS).map(|_| calls(gateway, limits, admitted, more)).collect();
                        together(callers).await;
                    };
                    runtime().block_on(callers);
                });
            }
        });
        admitted.into_inner()
    }

    fn remaining(&self, limit: &Limit) -> u64 {
        let counted = [counted(limit)];
        let verdicts = runtime().block_on(self.gateways.first().unwrap().read(&asked(&counted))).unwrap();
        u64::from(verdicts.first().unwrap().remaining)
    }

    /// Makes the server forget all counters, as one does that is restarted, or a replica that never had them.
    fn forget(&self) -> usize {
        runtime().block_on(async {
            let client = redis::Client::open(told()).unwrap();
            let mut raw = client.get_multiplexed_async_connection().await.unwrap();
            let pattern = format!("{}:*", self.prefix);
            let keys: Vec<String> = cmd("KEYS").arg(pattern).query_async(&mut raw).await.unwrap();
            let () = cmd("DEL").arg(&keys).query_async(&mut raw).await.unwrap();
            keys.len()
        })
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Waits for all of them, each polled as it can go on.
async fn together(callers: Vec<impl Future<Output = ()>>) {
    let mut callers: Vec<_> = callers.into_iter().map(|caller| Some(Box::pin(caller))).collect();
    std::future::poll_fn(|context| {
        for place in &mut callers {
            if place.as_mut().is_some_and(|caller| caller.as_mut().poll(context).is_ready()) {
                *place = None;
            }
        }
        if callers.iter().all(Option::is_none) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

async fn calls(gateway: &Limits, limits: &[&Limit], admitted: &AtomicU64, more: impl Fn(u64) -> bool) {
    let counted: Vec<_> = limits.iter().map(|limit| counted(limit)).collect();
    while more(admitted.load(Ordering::Relaxed)) {
        let taken = gateway.take(&asked(&counted)).await.unwrap();
        if taken.verdicts.iter().all(|verdict| verdict.admitted) {
            admitted.fetch_add(1, Ordering::Relaxed);
        }
        // What is known to be over is answered at once: others are to have their turn.
        tokio::task::yield_now().await;
    }
}

fn counted(limit: &Limit) -> Counted<'_> {
    let values = Values { client: Some("app"), organisation: Some("bank"), ..Values::default() };
    Counted { limit, values, thing: None }
}

fn asked<'a>(limits: &'a [Counted<'a>]) -> Asked<'a> {
    Asked { limits, owner: "app", call: "call", now: Clock::system().now() }
}

/// Calls until so much time is over, and a little longer until the last of what is free is taken.
fn for_a_while(span: Duration) -> impl Fn(u64) -> bool + Sync {
    let began = Instant::now();
    move |_| began.elapsed() < span
}

fn span() -> Duration {
    if full() { Duration::from_secs(20) } else { Duration::from_millis(1500) }
}

#[test]
fn four_gateways_let_in_exactly_what_one_would() {
    let house = House::open();
    let quota = |window| Shape::Quota(Quota { most: some(1000), window });
    let shapes = [quota(Window::Rolling(HOUR)), quota(Window::Month), Shape::Bucket(bucket(1, HOUR, 1000))];
    for (number, shape) in shapes.into_iter().enumerate() {
        let limit = limit(&format!("limit-{number}"), &[Dimension::Organisation], shape);
        assert_eq!(house.storm(&[&limit], for_a_while(span())), 1000, "{limit:?}");
        assert_eq!(house.remaining(&limit), 0, "{limit:?}");
    }
}

#[test]
fn four_gateways_keep_a_rate_within_one_percent() {
    let house = House::open();
    let span = if full() { Duration::from_secs(20) } else { Duration::from_secs(3) };
    // A slow machine has to offer more than is let in; the large run is given a quiet one.
    let rates =
        if full() { vec![(50, 100), (100, 100), (1000, 500), (400, 2000)] } else { vec![(50, 100), (100, 300)] };
    for (number, (rate, burst)) in rates.into_iter().enumerate() {
        let shape = Shape::Bucket(bucket(rate, Duration::from_secs(1), burst));
        let limit = limit(&format!("rate-{number}"), &[Dimension::Organisation], shape);
        // The first call connects; time is counted from there on.
        let first = house.storm(&[&limit], |admitted| admitted < 1);
        let began = Instant::now();
        let admitted = first + house.storm(&[&limit], for_a_while(span));
        let came = |span: Duration| u64::try_from(u128::from(rate) * span.as_millis() / 1000).unwrap();
        let most = burst + first + came(began.elapsed());
        assert!(admitted <= most + most / 100, "{admitted} of {most}: {limit:?}");
        let least = burst + came(span);
        assert!(admitted + least / 100 >= least, "{admitted} of {least}: {limit:?}");
    }
}

#[test]
fn gateways_take_from_several_limits_together_or_from_none() {
    let house = House::open();
    let quota = |id, most| {
        limit(id, &[Dimension::Organisation], Shape::Quota(Quota { most: some(most), window: Window::Month }))
    };
    let (wide, narrow) = (quota("wide", 700), quota("narrow", 300));
    let slow = limit("slow", &[Dimension::Client], Shape::Bucket(bucket(1, HOUR, 500)));
    assert_eq!(house.storm(&[&wide, &narrow, &slow], for_a_while(span())), 300);
    assert_eq!([&wide, &narrow, &slow].map(|limit| house.remaining(limit)), [400, 0, 200]);
    assert_eq!(house.storm(&[&slow, &wide], for_a_while(span())), 200);
    assert_eq!([&wide, &narrow, &slow].map(|limit| house.remaining(limit)), [200, 0, 0]);
}

#[test]
fn a_memory_that_is_lost_gives_one_burst_more_and_no_second_one() {
    let house = House::open();
    let forgotten = AtomicU64::new(0);
    let limit = limit("hourly", &[Dimension::Organisation], Shape::Bucket(bucket(1, HOUR, 1000)));
    let began = Instant::now();
    let admitted = std::thread::scope(|scope| {
        scope.spawn(|| {
            // In the middle of the storm, whenever that is on this machine.
            while began.elapsed() < span() / 2 {
                std::thread::yield_now();
            }
            forgotten.fetch_add(house.forget() as u64, Ordering::SeqCst);
        });
        house.storm(&[&limit], for_a_while(span()))
    });
    assert!(forgotten.into_inner() > 0);
    assert!((1000..=2000).contains(&admitted), "{admitted}");
}
