//! `tick`, as cron starts it: overlapping, without a network, beside a daemon.

use std::process::Stdio;

use nix::sys::signal::Signal;

use crate::agent::{done, eventually, fake};
use crate::expected;
use crate::home::Home;

#[test]
fn ten_at_once_take_ten_frames_and_all_arrive() {
    let fake = fake();
    let home = Home::sending_to("ten-ticks", &fake, "");
    let start = |_| home.command(&["tick"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let running: Vec<_> = (0..10).map(start).collect();
    for child in running {
        let done = done(&child.wait_with_output().unwrap());
        assert_eq!((done.code, done.err.as_str()), (Some(0), ""), "{done:?}");
    }
    let frames = home.frames();
    assert_eq!(frames.iter().map(|frame| frame.seq).collect::<Vec<_>>(), (1..=10).collect::<Vec<_>>());
    // Two runs may share a millisecond; what must not be is a later number with an earlier time.
    assert!(frames.is_sorted_by_key(|frame| frame.boottime_ms), "{frames:?}");
    let verified = home.output(&["spool", "verify"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");

    // A frame whose run found another one uploading goes with the next.
    assert_eq!(home.output(&["tick"]).code, Some(0));
    expected::assert_same(&home, &fake);
    home.assert_all_accounted_for();
    assert_eq!(fake.hosts().len(), 1, "ten runs at once register one host");
}

#[test]
fn a_trouble_is_said_once_and_ends_with_everything_delivered() {
    let mut fake = fake();
    let home = Home::sending_to("tick-trouble", &fake, "");
    fake.stop();
    let first = home.output(&["tick"]);
    assert_eq!(first.code, Some(0), "{first:?}");
    assert!(first.err.contains("127.0.0.1") && first.err.contains("frames wait in the spool"), "{first:?}");
    assert_eq!(first.err.lines().count(), 1, "{first:?}");
    for _ in 0..2 {
        let again = home.output(&["tick"]);
        assert_eq!((again.code, again.out.as_str(), again.err.as_str()), (Some(0), "", ""), "{again:?}");
    }
    fake.restart();
    let last = home.output(&["tick"]);
    assert_eq!(last.code, Some(0), "{last:?}");
    assert_eq!(home.frames().len(), 4);
    expected::assert_same(&home, &fake);
    home.assert_all_accounted_for();
    assert_eq!(home.trouble(), "");
}

#[test]
fn beside_a_daemon_it_asks_to_be_run_later() {
    let fake = fake();
    let home = Home::sending_to("tick-beside-run", &fake, "");
    let agent = home.run();
    eventually("a first frame", || !home.frames().is_empty());
    let tick = home.output(&["tick"]);
    assert_eq!(tick.code, Some(75), "{tick:?}");
    assert!(tick.err.contains("in use by another iwashi"), "{tick:?}");
    assert_eq!(agent.stop(Signal::SIGTERM).0, Some(0));
    assert_eq!(home.output(&["tick"]).code, Some(0));
    expected::assert_same(&home, &fake);
    home.assert_all_accounted_for();
}
