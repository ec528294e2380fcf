//! How long a large contract takes to load, and a path to be matched in it.
//!
//! The lines to hold: 500 documents of 40 MB together in 10 s on one core, one path among 5,000 operations in 1 µs.

#![expect(clippy::expect_used, reason = "a bench may stop at the first surprise")]

mod generator;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use openapi::{CanonicalPath, Contract, Source};
use std::hint::black_box;
use std::time::Duration;

const DOCUMENTS: usize = 500;
const BYTES: usize = 80_000;

fn load(criterion: &mut Criterion) {
    let sources = generator::documents(DOCUMENTS, BYTES);
    let mut group = criterion.benchmark_group("load");
    group.sample_size(10).warm_up_time(Duration::from_millis(1)).measurement_time(Duration::from_secs(40));
    group.bench_function("500 documents, 40 MB", |bench| {
        bench.iter_batched(|| (), |()| sound(black_box(&sources)), BatchSize::PerIteration);
    });
    group.finish();
}

fn route(criterion: &mut Criterion) {
    let sources = generator::documents(DOCUMENTS, 1);
    let contract = sound(&sources);
    assert_eq!(contract.operations().len(), 5_000);
    let paths: Vec<CanonicalPath> = (0..DOCUMENTS)
        .map(|number| format!("/d{number}/v1/things{}/018f3c1e-0000-7000/parts/{number}", number % 5))
        .map(|path| CanonicalPath::parse(&path).expect("a plain path"))
        .collect();
    let mut next = paths.iter().cycle();
    criterion.bench_function("a path among 5,000 operations", |bench| {
        bench.iter(|| contract.route("GET", black_box(next.next().expect("a cycle has no end"))));
    });
    let unknown = CanonicalPath::parse("/d499/v1/things4/7/parts/8/nothing").expect("a plain path");
    criterion.bench_function("an unknown path among 5,000 operations", |bench| {
        bench.iter(|| contract.route("GET", black_box(&unknown)));
    });
    let raw = "/d250/v1/things3/018f3c1e-0000-7000/parts/7";
    criterion.bench_function("a path read and matched among 5,000 operations", |bench| {
        bench.iter(|| CanonicalPath::parse(black_box(raw)).map(|path| contract.route("GET", &path)));
    });
}

fn sound(sources: &[Source]) -> Contract {
    Contract::load(sources).map_err(|faults| faults.into_iter().next()).expect("the generator makes sound documents")
}

criterion_group!(benches, route, load);
criterion_main!(benches);
