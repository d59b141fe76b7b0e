//! HTTPS with a private authority, and with certificates that are no good.

use nix::sys::signal::Signal;

use crate::agent::options;
use crate::expected;
use crate::fake_mackerel::{FakeMackerel, Fault, Leaf, Options, Rule};
use crate::home::Home;

fn secure(home: &Home, leaf: Leaf, authority: &str) -> FakeMackerel {
    let ca_directory = Some(home.directory.join(authority));
    FakeMackerel::start(Options { tls: Some(leaf), ca_directory, ..options() })
}

fn configure(home: &Home, fake: &FakeMackerel) {
    home.configure(&fake.url(), &format!("ca_file = \"{}\"", home.directory.join("ca/ca.pem").display()));
}

/// Runs against `fake` until `status` says so; nothing may have been sent by then.
fn assert_refused(home: &Home, fake: &FakeMackerel, words: &str) {
    configure(home, fake);
    let agent = home.run();
    agent.wait_for(words);
    home.wait_for_trouble(words);
    home.wait_for_more_frames(2);
    assert!(fake.requests().is_empty() && fake.points().is_empty(), "something was sent: {:?}", fake.requests());
    let (code, said) = agent.stop(Signal::SIGTERM);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(said.matches(words).count(), 1, "once is enough: {said}");
}

#[test]
fn nothing_leaves_without_a_good_certificate_and_all_with_one() {
    let home = Home::new("https");
    let good = secure(&home, Leaf::Good, "ca");
    let bad = secure(&home, Leaf::Expired, "ca");
    assert_refused(&home, &bad, "has expired, or this machine's clock is ahead");
    let bad = secure(&home, Leaf::WrongName, "ca");
    assert_refused(&home, &bad, "is for another name");
    let bad = secure(&home, Leaf::Good, "other");
    assert_refused(&home, &bad, "is of an authority not trusted here");
    let bad = secure(&home, Leaf::Good, "ca");
    bad.add_fault(Rule::new(Fault::PlainText));
    assert_refused(&home, &bad, "TLS with 127.0.0.1");

    configure(&home, &good);
    let mut good = good;
    let agent = home.run();
    home.wait_for_more_frames(2);
    home.wait_until_delivered(&good);
    good.stop();
    home.wait_for_more_frames(2);
    agent.kill();
    let agent = home.run();
    good.restart();
    home.wait_until_delivered(&good);
    let (code, said) = agent.stop(Signal::SIGTERM);
    assert_eq!(code, Some(0), "{said}");
    expected::assert_same(&home, &good);
    home.assert_all_accounted_for();
    assert_eq!(home.trouble(), "");
}

#[test]
fn a_ca_file_that_is_none_is_refused_at_start() {
    let home = Home::new("no-ca");
    for (content, words) in [(None, "no-such.pem"), (Some("no certificate\n"), "holds no certificate in PEM")] {
        let file = home.directory.join(if content.is_some() { "empty.pem" } else { "no-such.pem" });
        if let Some(content) = content {
            std::fs::write(&file, content).unwrap();
        }
        home.configure("https://127.0.0.1:1", &format!("ca_file = \"{}\"", file.display()));
        let refused = home.output(&["run", "--interval", "1"]);
        assert_eq!(refused.code, Some(78), "{refused:?}");
        assert!(refused.err.contains(words), "{refused:?}");
    }
}
