#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use super::super::Costs;
use super::super::clock::STEP_BACK_MAX;
use super::super::testing::{
    Counter, DAY, Dice, HOUR, MINUTE, NOW, SECOND, TICK, bucket, number, polls, quota, sessions,
};
use super::*;

/// Random calls, mostly close together, with a pause now and then.
fn pause(dice: &mut Dice) -> Duration {
    match dice.below(40) {
        0 => dice.span(2 * DAY),
        1 | 2 => dice.span(2 * MINUTE),
        3..10 => Duration::ZERO,
        _ => dice.span(SECOND),
    }
}

fn step_back(dice: &mut Dice) -> Duration {
    let most = match dice.below(5) {
        0 => TICK,
        1 => SECOND,
        2 => MINUTE,
        3 => HOUR,
        _ => 60 * DAY,
    };
    dice.span(most)
}

#[test]
fn a_state_is_small() {
    // A million keys are to fit into 200 MB, with their names and the table that holds them.
    assert!(size_of::<State>() <= 40, "{}", size_of::<State>());
}

#[test]
fn too_many_calls_under_way_are_refused_until_one_has_ended() {
    let mut counter = Counter::new(Shape::InFlight(number(2)));
    assert!(counter.fits(NOW) && counter.fits(NOW));
    let refused = counter.take(NOW + DAY);
    assert_eq!((refused.admitted, refused.remaining, refused.more_after), (false, 0, IN_FLIGHT_RETRY));
    counter.state = finish(counter.state.take());
    assert!(counter.fits(NOW - DAY));
    assert!(!counter.fits(NOW));
    counter.state = finish(finish(counter.state.take()));
    assert_eq!(counter.state, None);
    // One that has ended twice makes no room that there is not.
    counter.state = finish(counter.state.take());
    assert_eq!(counter.drain(NOW), 2);
}

#[test]
fn only_calls_under_way_are_finished() {
    let mut counter = Counter::new(Shape::Bucket(bucket(1, SECOND, 1)));
    assert!(counter.fits(NOW));
    counter.state = finish(counter.state.take());
    assert!(!counter.fits(NOW));
}

#[test]
fn a_state_of_another_shape_is_none() {
    for seed in 0..200 {
        let mut dice = Dice(seed);
        let (mut one, other) = (Counter::new(dice.shape()), dice.shape());
        one.drain(NOW);
        let state = one.state.take();
        let kept = current(&other, state.clone(), NOW);
        if std::mem::discriminant(&one.shape) != std::mem::discriminant(&other) {
            assert_eq!(kept, None, "{state:?} of {other:?}");
            assert!(over_at(&other, &state.unwrap()) < NOW);
        }
        // It never panics, and never counts below nothing.
        let mut changed = Counter { shape: other, state: kept };
        let told = changed.take(NOW);
        assert!(told.remaining <= told.capacity);
    }
}

#[test]
fn what_is_told_to_be_free_later_is_so_and_not_before() {
    for seed in 0..600 {
        let mut dice = Dice(seed);
        let mut counter = Counter::new(dice.shape());
        let mut now = NOW;
        for _ in 0..60 {
            now = now + pause(&mut dice);
            let told = counter.take(now);
            let shape = &counter.shape;
            assert!(told.remaining <= told.capacity, "seed {seed}: {shape:?} at {now}: {told:?}");
            assert!(told.more_after <= told.window, "seed {seed}: {shape:?} at {now}: {told:?}");
            assert!(told.admitted || told.more_after >= TICK, "seed {seed}: {shape:?} at {now}: {told:?}");
            if told.more_after > Duration::ZERO {
                let before = counter.room(now + told.more_after - TICK);
                // A session that ends takes what was left of it along.
                let lost = matches!(shape, Shape::Sessions(_)) && before.remaining < told.remaining;
                assert!(lost || before.remaining == told.remaining, "seed {seed}: {shape:?} at {now}: {told:?}");
                let then = counter.room(now + told.more_after);
                assert!(then.remaining > told.remaining, "seed {seed}: {shape:?} at {now}: {told:?}, {then:?}");
            }
        }
    }
}

#[test]
fn a_state_that_is_over_is_as_good_as_none_and_not_before() {
    for seed in 0..600 {
        let mut dice = Dice(seed);
        let mut counter = Counter::new(dice.shape());
        let mut now = NOW;
        for _ in 0..40 {
            now = now + pause(&mut dice);
            let told = counter.take(now);
            let (shape, state) = (&counter.shape, counter.state.clone().unwrap());
            let over = over_at(shape, &state);
            assert!(over > now, "seed {seed}: {shape:?} at {now}");
            assert_eq!(over, now + told.window, "seed {seed}: {shape:?} at {now}");
            assert_eq!(current(shape, Some(state.clone()), over), None, "seed {seed}: {shape:?} at {now}");
            assert!(current(shape, Some(state), over - TICK).is_some(), "seed {seed}: {shape:?} at {now}");
            let (kept, none) = (counter.room(over), room(shape, None, over));
            assert_eq!(kept, none, "seed {seed}: {shape:?} at {now}");
        }
    }
}

#[test]
fn asking_takes_nothing() {
    for seed in 0..100 {
        let mut dice = Dice(seed);
        let mut counter = Counter::new(dice.shape());
        counter.take(NOW);
        let first = counter.room(NOW);
        for _ in 0..10 {
            assert_eq!(counter.room(NOW), first, "seed {seed}");
        }
    }
}

// How many calls a shape lets in within any time, by the latest time that was read: what a clock that steps by no more
// than five seconds must keep to.
fn holds_by_the_latest(shape: &Shape, admitted: &[Timestamp]) -> bool {
    let count = |most: u32, same: &dyn Fn(Timestamp, Timestamp) -> bool| {
        let most = usize::try_from(most).unwrap();
        admitted
            .iter()
            .all(|one| admitted.iter().filter(|other| **other >= *one && same(*one, **other)).count() <= most)
    };
    match shape {
        Shape::Bucket(terms) => {
            let cell = u128::from(bucket::cell(&terms.rate));
            admitted.iter().enumerate().all(|(first, from)| {
                admitted.iter().enumerate().skip(first).all(|(last, to)| {
                    let tokens = u128::try_from(last - first + 1).unwrap();
                    tokens <= u128::from(terms.burst.get()) + to.since(*from).as_nanos() / cell
                })
            })
        }
        Shape::Quota(terms) => match terms.window {
            Window::Rolling(length) => count(terms.most.get(), &|one, other| other.since(one) < length),
            window => count(terms.most.get(), &|one, other| window.start(one) == window.start(other)),
        },
        Shape::Polls(terms) => {
            admitted.iter().zip(admitted.iter().skip(1)).all(|(one, other)| {
                let since = other.since(*one);
                // What is forgotten may be asked about without a gap; it is as long ago as that from the first one.
                since >= terms.gap || admitted.iter().any(|first| other.since(*first) >= terms.within)
            })
        }
        Shape::Sessions(terms) => count(terms.rate.get(), &|one, other| one.seconds() == other.seconds()),
        Shape::InFlight(_) => true,
    }
}

#[test]
fn steps_of_five_seconds_open_nothing() {
    for seed in 0..600 {
        let mut dice = Dice(seed);
        let mut counter = Counter::new(dice.shape());
        let mut truth = NOW;
        let mut latest = NOW;
        let mut admitted: Vec<Timestamp> = Vec::new();
        for _ in 0..200 {
            truth = truth + dice.span(Duration::from_millis(400));
            // Between five seconds behind the latest that was read, and wherever the time is.
            let now = match dice.below(3) {
                0 => (latest - dice.span(STEP_BACK_MAX)).max(NOW),
                1 => (latest - STEP_BACK_MAX).max(NOW),
                _ => truth.max(latest),
            };
            latest = latest.max(now);
            if counter.fits(now) {
                admitted.push(latest);
            }
        }
        let shape = &counter.shape;
        assert!(holds_by_the_latest(shape, &admitted), "seed {seed}: {shape:?} let in {admitted:?}");
    }
}

#[test]
fn a_step_back_itself_opens_nothing_however_far_it_is() {
    for seed in 0..600 {
        let mut dice = Dice(seed);
        let mut counter = Counter::new(dice.shape());
        let now = NOW + dice.span(2 * DAY);
        counter.drain(now);
        let back = now - step_back(&mut dice);
        assert!(!counter.fits(back), "seed {seed}: {:?} from {now} to {back}", counter.shape);
    }
}

#[test]
fn a_step_back_closes_for_no_longer_than_a_window() {
    for seed in 0..600 {
        let mut dice = Dice(seed);
        let mut counter = Counter::new(dice.shape());
        let now = NOW + dice.span(2 * DAY);
        counter.drain(now);
        let back = now - step_back(&mut dice);
        let window = match &counter.shape {
            Shape::Bucket(terms) => Duration::from_nanos(bucket::burst_nanos(terms)),
            Shape::Quota(terms) => match terms.window {
                Window::Rolling(length) => length + length / 7 + 8 * TICK,
                fixed => fixed.length(back).max(fixed.length(now)),
            },
            Shape::InFlight(_) => Duration::ZERO,
            Shape::Polls(terms) => terms.within,
            Shape::Sessions(terms) => terms.idle + DAY,
        };
        // From the first look at the other clock on; whoever asks on the way makes it no longer.
        counter.take(back);
        let mut on_the_way = back;
        let end = back + window + STEP_BACK_MAX;
        let mut opened = false;
        for _ in 0..50 {
            on_the_way = on_the_way + window / 50;
            opened |= counter.fits(on_the_way);
        }
        assert!(opened || counter.fits(end), "seed {seed}: {:?} from {now} to {back}", counter.shape);
    }
}

#[test]
fn an_untouched_limit_is_wholly_free() {
    let all = [
        (Shape::Bucket(bucket(1, SECOND, 7)), 7, 7),
        (quota(7, Window::Month), 7, 7),
        (quota(7, Window::Rolling(MINUTE)), 7, 7),
        (Shape::InFlight(number(7)), 7, 7),
        (Shape::Polls(polls(MINUTE, MINUTE, 7, HOUR)), 1, 7),
        (Shape::Polls(polls(MINUTE, Duration::ZERO, 7, HOUR)), 7, 7),
        (Shape::Sessions(sessions(2, 7, 3, MINUTE)), 3, 7),
    ];
    for (shape, remaining, capacity) in all {
        let told = room(&shape, None, NOW);
        assert_eq!((told.admitted, told.remaining, told.capacity), (true, remaining, capacity), "{shape:?}");
        assert_eq!((told.window, told.more_after), (Duration::ZERO, Duration::ZERO), "{shape:?}");
    }
}

#[test]
fn whatever_a_state_is_read_by_is_said_by_the_id_or_among_the_terms() {
    let terms = |shape: &Shape| {
        let mut terms = Vec::new();
        unsaid_terms(shape, |term| terms.push(term));
        terms
    };
    let dear = |burst, of: &[(u16, i32)], otherwise| {
        let costs = Some(Costs { of: of.iter().copied().collect(), otherwise });
        Shape::Bucket(Bucket { costs, ..bucket(1, SECOND, burst) })
    };
    let asked = |first, gap, within| Shape::Polls(polls(first, gap, 3, within));
    let called = |calls, rate, idle| Shape::Sessions(sessions(9, calls, rate, idle));
    let kinds = [
        vec![
            Shape::Bucket(bucket(1, SECOND, 5)),
            Shape::Bucket(bucket(1, SECOND, 6)),
            dear(5, &[], 1),
            dear(5, &[], -1),
            dear(5, &[(404, 20)], 1),
            dear(5, &[(404, 20)], 0),
            dear(5, &[(404, 21)], 1),
            dear(5, &[(405, 20)], 1),
            dear(5, &[(404, 20), (405, 20)], 1),
            dear(5, &[(404, -20)], 1),
        ],
        vec![
            asked(SECOND, MINUTE, HOUR),
            asked(MINUTE, SECOND, HOUR),
            asked(SECOND, MINUTE, DAY),
            asked(SECOND, MINUTE + TICK, HOUR),
        ],
        vec![called(5, 2, MINUTE), called(2, 5, MINUTE), called(5, 3, MINUTE), called(5, 2, MINUTE + TICK)],
    ];
    for kind in kinds {
        for (place, shape) in kind.iter().enumerate() {
            for (other, beside) in kind.iter().enumerate() {
                assert_eq!(terms(shape) == terms(beside), place == other, "{shape:?} {beside:?}");
                // What is written after them cannot make one of them another.
                assert!(place == other || !terms(shape).starts_with(&terms(beside)), "{shape:?} {beside:?}");
            }
        }
    }
    assert!(terms(&quota(5, Window::Day)).is_empty() && terms(&Shape::InFlight(number(5))).is_empty());
}
