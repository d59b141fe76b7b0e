//! TERM, INT and HUP.

use std::fs;

use nix::sys::signal::Signal;

use crate::agent::{fake, KEY, PATIENCE};
use crate::expected;
use crate::home::Home;

#[test]
fn a_stop_delivers_what_there_is() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT] {
        let fake = fake();
        let home = Home::sending_to(&format!("stop-{signal}"), &fake, "");
        let agent = home.run();
        assert!(fake.wait_until(PATIENCE, |state| !state.points.is_empty()));
        let (code, said) = agent.stop(signal);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.ends_with("iwashi ends\n"), "{said}");
        expected::assert_same(&home, &fake);
        home.assert_all_accounted_for();
    }
}

#[test]
fn hup_brings_a_new_config() {
    let fake = fake();
    let home = Home::sending_to("hup", &fake, "display_name = \"before\"");
    let agent = home.run();
    assert!(fake.wait_until(PATIENCE, |state| !state.points.is_empty()));
    let id = home.id();
    home.configure(&fake.url(), "display_name = \"after\"\n[sensors]\nuptime = false");
    agent.signal(Signal::SIGHUP);
    agent.wait_for("config: read again");
    assert!(fake.wait_until(PATIENCE, |state| state.hosts[&id].display_name.as_deref() == Some("after")));
    let seq = home.frames().last().unwrap().seq;
    home.wait_for_more_frames(2);
    let (code, said) = agent.stop(Signal::SIGTERM);
    assert_eq!(code, Some(0), "{said}");
    let frames = home.frames();
    let has_uptime = |frame: &crate::home::Frame| frame.values.contains_key("uptime");
    assert!(has_uptime(&frames[0]));
    assert!(frames.iter().filter(|frame| frame.seq > seq).all(|frame| !has_uptime(frame)));
    expected::assert_same(&home, &fake);
    home.assert_all_accounted_for();
    assert_eq!(fake.hosts().len(), 1);
}

#[test]
fn hup_with_a_broken_config_tells_every_mistake_and_changes_nothing() {
    let fake = fake();
    let home = Home::sending_to("broken-hup", &fake, "");
    let mut agent = home.run();
    assert!(fake.wait_until(PATIENCE, |state| !state.points.is_empty()));
    let good = fs::read(home.config()).unwrap();
    fs::write(home.config(), format!("apikey = \"{KEY}\"\nverbose = 1\nroles = 2\n[spool]\nsync_interval = -1\n"))
        .unwrap();
    agent.signal(Signal::SIGHUP);
    agent.wait_for("going on with the old configuration");
    for line in [2, 3, 5] {
        agent.wait_for(&format!("{}:{line}: ", home.config().display()));
    }
    fs::remove_file(home.config()).unwrap();
    agent.signal(Signal::SIGHUP);
    agent.wait_for("No such file");
    fs::write(home.config(), good).unwrap();
    home.wait_for_more_frames(2);
    home.wait_until_delivered(&fake);
    agent.assert_alive();
    assert_eq!(agent.stop(Signal::SIGTERM).0, Some(0));
    expected::assert_same(&home, &fake);
    home.assert_all_accounted_for();
}

#[test]
fn hup_with_a_config_that_cannot_be_followed_changes_nothing() {
    let fake = fake();
    let home = Home::sending_to("hup-no-ca", &fake, "");
    let mut agent = home.run();
    assert!(fake.wait_until(PATIENCE, |state| !state.points.is_empty()));
    home.configure(&fake.url(), "ca_file = \"/nonexistent/ca.pem\"");
    agent.signal(Signal::SIGHUP);
    agent.wait_for("/nonexistent/ca.pem");
    agent.wait_for("going on with the old configuration");
    home.configure(&fake.url(), "");
    home.wait_for_more_frames(2);
    agent.assert_alive();
    home.wait_until_delivered(&fake);
    assert_eq!(agent.stop(Signal::SIGTERM).0, Some(0));
    expected::assert_same(&home, &fake);
    home.assert_all_accounted_for();
}
