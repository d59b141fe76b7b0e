//! Which host this is: registered once, never doubled, never somebody else's.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use nix::sys::signal::Signal;
use serde_json::{json, Value};

use crate::agent::{fake, PATIENCE};
use crate::fake_mackerel::client::exchange;
use crate::fake_mackerel::{FakeMackerel, Fault, Rule};
use crate::home::Home;

fn posts(fake: &FakeMackerel) -> usize {
    fake.requests().iter().filter(|r| r.method == "POST" && r.path == "/api/v0/hosts").count()
}

fn create(fake: &FakeMackerel, body: &Value) -> String {
    let (status, answer) = exchange(fake, fake.key(), "POST", "/api/v0/hosts", &body.to_string());
    assert_eq!(status, 200, "{answer}");
    serde_json::from_str::<Value>(&answer).unwrap()["id"].as_str().unwrap().to_owned()
}

fn tick(home: &Home) -> String {
    let done = home.output(&["tick"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    done.err
}

fn waiting(home: &Home) -> u64 {
    home.status()["sinks"][0]["frames"]["waiting"].as_u64().unwrap()
}

#[test]
fn a_host_is_registered_once_with_name_and_roles() {
    let fake = fake();
    let more = "display_name = \"Pi im Flur\"\nroles = [\"home:hall\", \"home:pi\"]\n\
                [host_status]\non_start = \"maintenance\"\non_stop = \"poweroff\"";
    let home = Home::sending_to("register", &fake, more);
    let agent = home.run();
    assert!(fake.wait_until(PATIENCE, |state| !state.points.is_empty()));
    let mode = fs::metadata(home.root().join("id")).unwrap().permissions().mode();
    assert_eq!(mode & 0o444, 0o444, "mkr reads it, too: {mode:o}");
    assert!(home.id().bytes().all(|byte| byte.is_ascii_alphanumeric()), "{:?}", home.id());
    let host = fake.hosts()[&home.id()].clone();
    assert_eq!(host.display_name.as_deref(), Some("Pi im Flur"));
    assert_eq!(json!(host.roles), json!({"home": ["hall", "pi"]}));
    assert_eq!(host.status, "maintenance");
    let (code, said) = agent.stop(Signal::SIGTERM);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(fake.hosts()[&home.id()].status, "poweroff");

    let agent = home.run();
    let id = home.id();
    assert!(fake.wait_until(PATIENCE, |state| state.hosts[&id].status == "maintenance"));
    assert_eq!(agent.stop(Signal::SIGINT).0, Some(0));
    assert_eq!((posts(&fake), fake.hosts().len()), (1, 1));
}

#[test]
fn an_answer_that_is_lost_makes_no_second_host() {
    let fake = fake();
    fake.add_fault(Rule::new(Fault::ResetAfterResponse(0)).on_method("POST").on_path("/api/v0/hosts").nth(1));
    let home = Home::sending_to("lost-answer", &fake, "custom_identifier = \"serial 1/2&3\"");
    assert!(tick(&home).contains("frames wait"));
    assert_eq!((posts(&fake), fake.hosts().len()), (1, 1));
    tick(&home);
    assert_eq!((posts(&fake), fake.hosts().len()), (1, 1));
    assert_eq!(home.id(), *fake.hosts().keys().next().unwrap());
    home.assert_all_accounted_for();
    fs::remove_file(home.root().join("id")).unwrap();
    tick(&home);
    assert_eq!(fake.hosts().len(), 1, "a lost id file does not matter where there is a custom identifier");
    assert_eq!(fake.hosts()[&home.id()].custom_identifier.as_deref(), Some("serial 1/2&3"));
}

#[test]
fn an_id_file_that_is_garbage_is_left_alone_and_makes_no_host() {
    let fake = fake();
    let home = Home::sending_to("garbage-id", &fake, "");
    fs::create_dir_all(home.root()).unwrap();
    for garbage in ["../etc\n", "\u{0}\u{0}\u{0}", "a b"] {
        fs::write(home.root().join("id"), garbage).unwrap();
        tick(&home);
        assert_eq!(home.id(), garbage);
        assert!(home.trouble().contains("not a host id"), "{}", home.trouble());
    }
    fs::write(home.root().join("id"), [0xff, 0xfe]).unwrap();
    tick(&home);
    assert!(home.trouble().contains("state/id"), "{}", home.trouble());
    assert_eq!((fake.hosts().len(), fake.requests().len(), waiting(&home)), (0, 0, 4));
    fs::remove_file(home.root().join("id")).unwrap();
    tick(&home);
    home.assert_all_accounted_for();
}

#[test]
fn frames_of_a_host_that_is_gone_are_kept() {
    let fake = fake();
    let home = Home::sending_to("gone-host", &fake, "");
    tick(&home);
    let id = home.id();
    fake.state(|state| state.hosts.get_mut(&id).unwrap().retired_at = Some(1));
    assert!(tick(&home).contains("is retired"));
    assert!(home.trouble().contains("is retired") && waiting(&home) == 1);
    let kept = fake.state(|state| state.hosts.remove(&id).unwrap());
    tick(&home);
    assert!(home.trouble().contains("404"), "{}", home.trouble());
    assert_eq!((waiting(&home), posts(&fake), home.id()), (2, 1, id.clone()));
    fake.state(|state| state.hosts.insert(id, crate::fake_mackerel::Host { retired_at: None, ..kept }));
    tick(&home);
    home.assert_all_accounted_for();
}

#[test]
fn a_running_agent_says_that_its_host_was_retired_and_keeps_the_frames() {
    let fake = fake();
    let home = Home::sending_to("retired-meanwhile", &fake, "");
    let mut agent = home.run();
    assert!(fake.wait_until(PATIENCE, |state| !state.points.is_empty()));
    let id = home.id();
    fake.state(|state| state.hosts.get_mut(&id).unwrap().retired_at = Some(1));
    agent.wait_for("frames wait in the spool");
    home.wait_for_trouble("127.0.0.1 answered 40");
    home.wait_for_more_frames(2);
    fake.state(|state| state.hosts.get_mut(&id).unwrap().retired_at = None);
    home.wait_until_delivered(&fake);
    agent.assert_alive();
    assert_eq!(agent.stop(Signal::SIGTERM).0, Some(0));
    home.assert_all_accounted_for();
    assert_eq!(fake.hosts().len(), 1);
}

#[test]
fn a_copied_disk_does_not_write_into_the_other_host() {
    let fake = fake();
    let home = Home::sending_to("copied-disk", &fake, "custom_identifier = \"this one\"");
    let theirs = create(&fake, &json!({"name": "a", "meta": {}, "customIdentifier": "that one"}));
    fs::create_dir_all(home.root()).unwrap();
    fs::write(home.root().join("id"), &theirs).unwrap();
    assert!(tick(&home).contains("was the disk copied?"));
    assert!(home.trouble().contains("\"that one\"") && home.trouble().contains("\"this one\""), "{}", home.trouble());
    assert!(fake.points().is_empty() && fake.hosts()[&theirs].puts == 0);
    assert_eq!(waiting(&home), 1);
    fs::remove_file(home.root().join("id")).unwrap();
    tick(&home);
    assert_ne!(home.id(), theirs);
    home.assert_all_accounted_for();
    assert!(fake.points().keys().all(|(host, _, _)| *host != theirs));
}

#[test]
fn a_custom_identifier_that_others_set_stays() {
    let fake = fake();
    let home = Home::sending_to("foreign-identifier", &fake, "");
    let id = create(&fake, &json!({"name": "a", "meta": {}, "customIdentifier": "i-0123", "displayName": "Theirs"}));
    fs::create_dir_all(home.root()).unwrap();
    fs::write(home.root().join("id"), format!("{id}\n")).unwrap();
    tick(&home);
    tick(&home);
    let host = &fake.hosts()[&id];
    assert!(host.puts >= 1);
    assert_eq!((host.custom_identifier.as_deref(), host.display_name.as_deref()), (Some("i-0123"), Some("Theirs")));
    assert_eq!((fake.hosts().len(), waiting(&home)), (1, 0));
}

#[test]
fn a_key_that_is_wrong_or_reads_only_costs_nothing() {
    let fake = fake();
    let home = Home::sending_to("wrong-key", &fake, "");
    fake.add_fault(Rule::new(Fault::status(403)));
    assert!(tick(&home).contains("check apikey"));
    assert_eq!((fake.hosts().len(), waiting(&home)), (0, 1));
    fake.clear_faults();
    tick(&home);
    home.assert_all_accounted_for();
}
