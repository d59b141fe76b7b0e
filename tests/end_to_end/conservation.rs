//! Whatever is cut off, and whenever: each frame that was taken arrives, as it was taken.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::agent::{fake, PATIENCE};
use crate::expected;
use crate::fake_mackerel::FakeMackerel;
use crate::home::Home;

/// Waits until so many more seconds than now have a `loadavg5` at the service.
fn wait_for_more_points(fake: &FakeMackerel, count: usize) {
    let arrived = |state: &crate::fake_mackerel::State| state.points.keys().filter(|key| key.1 == "loadavg5").count();
    let before = fake.state(|state| arrived(state));
    assert!(fake.wait_until(PATIENCE, |state| arrived(state) >= before + count), "nothing arrives any more");
}

#[test]
fn nothing_is_lost_or_invented_through_kills_and_outages() {
    let mut fake = fake();
    let home = Home::sending_to("conservation", &fake, "");
    let agent = home.run();
    wait_for_more_points(&fake, 3);
    agent.kill();
    let after_first_kill = home.frames();
    assert!(after_first_kill.len() >= 3);

    let agent = home.run();
    wait_for_more_points(&fake, 2);
    fake.stop();
    home.wait_for_more_frames(3);
    home.wait_for_trouble("127.0.0.1");
    agent.kill();
    let after_second_kill = home.frames();

    let agent = home.run();
    home.wait_for_more_frames(2);
    fake.restart();
    home.wait_until_delivered(&fake);
    let (code, said) = agent.stop(Signal::SIGTERM);
    assert_eq!(code, Some(0), "{said}");

    let frames = home.frames();
    assert_eq!(frames[..after_first_kill.len()], after_first_kill);
    assert_eq!(frames[..after_second_kill.len()], after_second_kill);
    expected::assert_same(&home, &fake);
    home.assert_all_accounted_for();
    // Each frame tells how far the sink had come when it was taken.
    let told = frames.iter().map(|frame| frame.values[r#"iwashi.sink.frames{sink="mackerel",fate="delivered"}"#]);
    let told: Vec<f64> = told.collect();
    assert!(told.is_sorted() && told.first() == Some(&0.0) && told.last() > told.first(), "{told:?}");
    assert_eq!(home.trouble(), "", "the trouble is over");
    assert_eq!(fake.hosts().len(), 1);
    assert!(!fake.wait_until(Duration::ZERO, |state| state.dropped_old + state.dropped_future > 0));
    let verified = home.output(&["spool", "verify"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
}

#[test]
fn a_trouble_of_an_earlier_life_ends_with_the_first_success() {
    let mut fake = fake();
    let home = Home::sending_to("old-trouble", &fake, "");
    fake.stop();
    let agent = home.run();
    home.wait_for_trouble("127.0.0.1");
    agent.kill();
    fake.restart();
    let agent = home.run();
    wait_for_more_points(&fake, 2);
    home.wait_until_delivered(&fake);
    assert_eq!(agent.stop(Signal::SIGTERM).0, Some(0));
    assert_eq!(home.trouble(), "");
}
