//! Nothing a server answers can hang the agent, grow it or cost it a point.

#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::indexing_slicing, clippy::print_stderr, clippy::float_cmp)]

#[path = "end_to_end/agent.rs"]
mod agent;
#[path = "end_to_end/expected.rs"]
mod expected;
mod fake_mackerel;
#[path = "end_to_end/home.rs"]
mod home;

use std::time::Duration;

use agent::{fake, PATIENCE};
use fake_mackerel::{FakeMackerel, Fault, Rule, State};
use home::Home;
use nix::sys::signal::Signal;

/// The most memory that the agent may ever take: 8 MiB are its own, the rest is for a debug build.
const MOST_KIB: u64 = 12 * 1024;

const TSDB: &str = "/api/v0/tsdb";

fn answer(status: u16, body: &str) -> Fault {
    Fault::Status { status, body: Some(body.to_owned()), retry_after: None }
}

fn asking_to_wait(status: u16, retry_after: &str) -> Fault {
    Fault::Status { status, body: None, retry_after: Some(retry_after.to_owned()) }
}

fn garbled() -> Vec<Fault> {
    vec![
        Fault::EmptyBody,
        Fault::EmptyObject,
        Fault::Garbage,
        Fault::TruncatedJson,
        Fault::EndlessBody(1 << 40),
        Fault::HugeLength(1 << 40),
        Fault::EndlessHeaders,
        Fault::ContinueFlood(1000),
        Fault::WrongLength(-3),
        Fault::WrongLength(3),
        Fault::NotHttp,
        Fault::Latency(Duration::from_millis(300)),
        // Not carried out, and yet 200: a portal, a proxy, another service.
        answer(200, ""),
        answer(200, "{}"),
        answer(200, "[]"),
        answer(200, "null"),
        answer(200, r#"{"success":false}"#),
        answer(201, "<html>log in</html>"),
        Fault::status(204),
    ]
}

fn broken() -> Vec<Fault> {
    let mut faults = vec![Fault::DropAfterAccept, Fault::PlainText];
    faults.extend([0, 1, 100, 1000].map(Fault::ResetAfterRequest));
    faults.extend([0, 1, 20, 150].map(Fault::ResetAfterResponse));
    faults
}

fn refusing(elsewhere: &FakeMackerel) -> Vec<Fault> {
    let mut faults: Vec<Fault> = [301, 302, 303, 307, 308]
        .into_iter()
        .map(|status| Fault::Redirect { status, location: format!("{}{TSDB}?a=b", elsewhere.url()) })
        .collect();
    faults.extend([400, 401, 403, 404, 405, 408, 409, 413, 422, 500, 502, 503, 504].map(Fault::status));
    faults.push(asking_to_wait(429, "1"));
    faults.push(asking_to_wait(503, "99999999999999999999999"));
    faults.push(asking_to_wait(503, "Wed, 21 Oct 2015 07:28:00 GMT"));
    faults
}

fn struck(state: &State) -> usize {
    state.requests.iter().filter(|request| request.fault.is_some()).count()
}

/// Agents side by side, so that it takes less time, each through some of the faults.
fn go_through(name: &str, faults: &[Fault]) {
    std::thread::scope(|scope| {
        for (number, some) in faults.chunks(4).enumerate() {
            scope.spawn(move || one_through(&format!("{name}-{number}"), some));
        }
    });
}

/// One agent through `faults`, one after the other, each for at least two requests; then all must be there.
fn one_through(name: &str, faults: &[Fault]) {
    let mut fake = fake();
    let home = Home::sending_to(name, &fake, "");
    let mut agent = home.run();
    assert!(fake.wait_until(PATIENCE, |state| !state.points.is_empty()));
    for fault in faults {
        let (before, connections) = fake.state(|state| (struck(state), state.connections));
        let is_at_once = matches!(fault, Fault::DropAfterAccept | Fault::PlainText);
        let rule = Rule::new(fault.clone());
        fake.add_fault(if is_at_once { rule } else { rule.on_path(TSDB) });
        if is_at_once {
            fake.restart(); // a connection that is kept open would not be struck
        }
        let is_struck =
            fake.wait_until(PATIENCE, |state| struck(state) >= before + 2 || state.connections >= connections + 3);
        assert!(is_struck, "{fault:?} did not strike twice: {}", agent.said());
        agent.assert_alive();
        // Cut off in the middle of a search for a bad point, lest the good half of it proves the other half bad.
        fake.stop();
        fake.clear_faults();
        fake.restart();
        home.wait_until_delivered(&fake);
    }
    let peak = agent.peak_kib();
    eprintln!("{name}: at most {peak} KiB");
    assert!(agent::is_emulated() || peak < MOST_KIB, "{peak} KiB");
    let (code, said) = agent.stop(Signal::SIGTERM);
    assert_eq!(code, Some(0), "{said}");
    expected::assert_same(&home, &fake);
    home.assert_all_accounted_for();
    assert_eq!(home.status()["sinks"][0]["points"]["refused"], 0);
}

#[test]
fn garbled_answers() {
    go_through("garbled", &garbled());
}

#[test]
fn broken_connections() {
    go_through("broken", &broken());
}

#[test]
fn refusals_and_redirects() {
    let elsewhere = fake();
    go_through("refusing", &refusing(&elsewhere));
    assert_eq!(elsewhere.state(|state| state.connections), 0, "a redirect was followed");
}

#[test]
fn each_of_them_at_first_contact() {
    let elsewhere = fake();
    let faults = [garbled(), broken(), refusing(&elsewhere)].concat();
    for (number, fault) in faults.into_iter().enumerate() {
        let fake = fake();
        let home = Home::sending_to(&format!("first-contact-{number}"), &fake, "custom_identifier = \"me\"");
        fake.add_fault(Rule::new(fault.clone()));
        let first = home.output(&["tick"]);
        assert_eq!(first.code, Some(0), "{fault:?}: {first:?}");
        fake.clear_faults();
        let second = home.output(&["tick"]);
        assert_eq!(second.code, Some(0), "{fault:?}: {second:?}");
        assert_eq!(fake.hosts().len(), 1, "{fault:?}: {first:?} {second:?}");
        expected::assert_same(&home, &fake);
        home.assert_all_accounted_for();
    }
    assert_eq!(elsewhere.state(|state| state.connections), 0, "a redirect was followed");
}

#[test]
fn an_answer_that_drips_holds_up_nothing_but_itself() {
    let fake = fake();
    let home = Home::sending_to("drip", &fake, "");
    let agent = home.run();
    assert!(fake.wait_until(PATIENCE, |state| !state.points.is_empty()));
    fake.add_fault(Rule::new(Fault::SlowDrip(Duration::from_secs(2))).on_path(TSDB).times(1));
    assert!(fake.wait_until(PATIENCE, |state| struck(state) >= 1));
    home.wait_for_more_frames(5);
    home.wait_for_trouble("did not answer in time");
    home.wait_until_delivered(&fake);
    assert_eq!(agent.stop(Signal::SIGTERM).0, Some(0));
    expected::assert_same(&home, &fake);
    home.assert_all_accounted_for();
}

#[test]
fn silence_does_not_keep_it_from_ending() {
    let fake = fake();
    let home = Home::sending_to("silence", &fake, "");
    let agent = home.run();
    assert!(fake.wait_until(PATIENCE, |state| !state.points.is_empty()));
    fake.add_fault(Rule::new(Fault::Silence).on_path(TSDB));
    assert!(fake.wait_until(PATIENCE, |state| struck(state) >= 1));
    assert_eq!(agent.stop(Signal::SIGTERM).0, Some(0));
    fake.clear_faults();
    assert_eq!(home.output(&["tick"]).code, Some(0));
    expected::assert_same(&home, &fake);
    home.assert_all_accounted_for();
}

#[test]
fn a_poisonous_point_goes_alone() {
    let fake = fake();
    let home = Home::sending_to("poison", &fake, "");
    let agent = home.run();
    assert!(fake.wait_until(PATIENCE, |state| !state.points.is_empty()));
    fake.add_fault(Rule::new(Fault::status(400)).on_metric("loadavg15"));
    home.wait_for_more_frames(3);
    home.wait_until_delivered(&fake);
    let (code, said) = agent.stop(Signal::SIGTERM);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("dropped one point of loadavg15"), "{said}");
    let points = fake.points();
    let id = home.id();
    let mut refused = 0;
    let mut before = None;
    let frames = home.frames();
    for frame in &frames {
        for name in expected::points(before, frame).into_keys() {
            if !points.contains_key(&(id.clone(), name.clone(), frame.second())) {
                assert_eq!(name, "loadavg15", "a good point went with the bad one");
                refused += 1;
            }
        }
        before = Some(frame);
    }
    assert!(refused >= 3);
    assert_eq!(home.status()["sinks"][0]["points"]["refused"], refused);
    home.assert_all_accounted_for();
}
