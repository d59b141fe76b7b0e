//! The fake Mackerel against its own rules: what the agent's tests rely on.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // helpers of tests panic as tests do

mod fake_mackerel;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fake_mackerel::client::{call, exchange, raw};
use fake_mackerel::{fault_text, FakeMackerel, Fault, Leaf, Options, Rule};
use serde_json::{json, Value};

const NOW: i64 = 1_800_000_000;
const DAY: i64 = 86_400;

fn host(fake: &FakeMackerel, body: &Value) -> String {
    let (status, answer) = call(fake, "POST", "/api/v0/hosts?", body);
    assert_eq!(status, 200, "{answer}");
    answer["id"].as_str().unwrap().to_owned()
}

fn post(fake: &FakeMackerel, id: &str, name: &str, time: i64, value: f64) -> u16 {
    call(fake, "POST", "/api/v0/tsdb?", &json!([{"hostId": id, "name": name, "time": time, "value": value}])).0
}

#[test]
fn each_call_needs_a_key() {
    let fake = FakeMackerel::start(Options::default());
    let (status, body) = exchange(&fake, "wrong", "GET", "/api/v0/org", "");
    assert_eq!(status, 403);
    assert!(serde_json::from_str::<Value>(&body).unwrap()["error"]["message"].is_string());
    assert_eq!(raw(&fake, "GET /api/v0/org HTTP/1.1\r\nConnection: close\r\n\r\n").unwrap()[9..12], *b"403");
    assert_eq!(exchange(&fake, "fake-read-key", "GET", "/api/v0/org?", "").0, 200);
    assert_eq!(exchange(&fake, "fake-read-key", "POST", "/api/v0/hosts", r#"{"name":"a","meta":{}}"#).0, 403);
    assert_eq!(call(&fake, "GET", "/api/v0/org", &Value::Null).1["name"], "fake-mackerel");
    assert_eq!(
        fake.requests().iter().filter_map(|request| request.status).collect::<Vec<_>>(),
        [403, 403, 200, 403, 200]
    );
}

#[test]
fn a_put_keeps_roles_and_erases_the_identifier() {
    let fake = FakeMackerel::start(Options::at(NOW));
    let id = host(
        &fake,
        &json!({"name": "pi", "meta": {}, "customIdentifier": "a b", "displayName": "D", "roleFullnames": ["home:room"]}),
    );
    assert_eq!(id.len(), 11);
    let path = format!("/api/v0/hosts/{id}");
    let put = |body: Value| call(&fake, "PUT", &path, &body).0;
    let get = || call(&fake, "GET", &path, &Value::Null).1["host"].clone();
    assert_eq!(put(json!({"name": "pi4", "meta": {}, "roleFullnames": ["home:hall"]})), 200);
    assert_eq!(get()["roles"], json!({"home": ["hall", "room"]}));
    assert_eq!(
        (&get()["name"], &get()["displayName"], &get()["customIdentifier"]),
        (&json!("pi4"), &json!("D"), &json!("a b"))
    );
    assert_eq!(
        call(&fake, "POST", "/api/v0/hosts", &json!({"name": "b", "meta": {}, "customIdentifier": "a b"})).0,
        400
    );
    assert_eq!(put(json!({"name": "pi4", "meta": {}, "customIdentifier": null})), 200);
    assert_eq!(get()["customIdentifier"], Value::Null);
    assert_eq!(put(json!({"name": "pi4"})), 400);
    assert_eq!(put(json!({"name": "pi4", "meta": {}, "roleFullnames": ["x:y"]})), 400);
    assert_eq!(call(&fake, "PUT", "/api/v0/hosts/nosuchhost0", &json!({"name": "a", "meta": {}})).0, 404);
    assert_eq!(fake.hosts()[&id].puts, 2);
}

#[test]
fn hosts_are_found_until_retired() {
    let fake = FakeMackerel::start(Options::default());
    let id = host(&fake, &json!({"name": "pi", "meta": {}, "customIdentifier": "Serial 1"}));
    let found = |query: &str| {
        let answer = call(&fake, "GET", &format!("/api/v0/hosts?{query}"), &Value::Null).1;
        answer["hosts"].as_array().unwrap().len()
    };
    assert_eq!((found("name=pi"), found("name=po"), found("customIdentifier=Serial+1"), found("")), (1, 0, 1, 1));
    let status = format!("/api/v0/hosts/{id}/status");
    assert_eq!(call(&fake, "POST", &status, &json!({"status": "poweroff"})).0, 200);
    assert_eq!(call(&fake, "POST", &status, &json!({"status": "asleep"})).0, 400);
    assert_eq!((found(""), found("status=working&status=poweroff")), (0, 1));
    let by_identifier =
        |rest: &str| call(&fake, "GET", &format!("/api/v0/hosts-by-custom-identifier/{rest}"), &json!(0)).0;
    assert_eq!((by_identifier("Serial%201"), by_identifier("serial%201")), (200, 404));
    assert_eq!(by_identifier("serial%201?caseInsensitive=true"), 200);
    assert_eq!(call(&fake, "POST", &format!("/api/v0/hosts/{id}/retire"), &Value::Null).0, 200);
    assert_eq!((found("status=poweroff"), by_identifier("Serial%201")), (0, 404));
    assert_eq!(call(&fake, "GET", &format!("/api/v0/hosts/{id}"), &Value::Null).1["host"]["isRetired"], true);
    assert_eq!(post(&fake, &id, "loadavg1", 0, 1.0), 404);
}

#[test]
fn points_out_of_the_day_are_dropped_with_200_and_the_same_point_is_overwritten() {
    let fake = FakeMackerel::start(Options::at(NOW));
    let id = host(&fake, &json!({"name": "pi", "meta": {}}));
    for (time, value) in
        [(NOW - DAY, 1.0), (NOW - DAY - 1, 2.0), (NOW + DAY, 3.0), (NOW + DAY + 1, 4.0), (NOW - DAY, 5.0)]
    {
        assert_eq!(post(&fake, &id, "custom.a-b.c_d", time, value), 200);
    }
    let point = |time: i64, value: f64| ((id.clone(), "custom.a-b.c_d".to_owned(), time), value);
    assert_eq!(fake.points().into_iter().collect::<Vec<_>>(), [point(NOW - DAY, 5.0), point(NOW + DAY, 3.0)]);
    let counts = |fake: &FakeMackerel| fake.state(|s| (s.dropped_old, s.dropped_future, s.overwrites));
    assert_eq!(counts(&fake), (1, 1, 1));
    fake.shift_clock(60);
    assert_eq!(post(&fake, &id, "custom.a-b.c_d", NOW - DAY, 6.0), 200);
    assert_eq!(counts(&fake), (2, 1, 1));
}

#[test]
fn one_bad_point_refuses_the_whole_post() {
    let fake = FakeMackerel::start(Options::at(NOW));
    let id = host(&fake, &json!({"name": "pi", "meta": {}}));
    let good = json!({"hostId": id, "name": "loadavg1", "time": NOW, "value": 1});
    let with = |name: &str, value: Value| {
        let mut point = good.clone();
        point[name] = value;
        call(&fake, "POST", "/api/v0/tsdb", &json!([good, point])).0
    };
    assert_eq!(with("hostId", json!("nosuchhost0")), 404);
    assert_eq!([with("name", json!("a b")), with("name", json!("")), with("time", json!(1.5))], [400; 3]);
    assert_eq!([with("value", Value::Null), with("value", json!("1")), with("hostId", json!(1))], [400; 3]);
    assert_eq!(call(&fake, "POST", "/api/v0/tsdb", &Value::Null).0, 400);
    assert_eq!(exchange(&fake, fake.key(), "POST", "/api/v0/tsdb", "[{\"value\":NaN}]").0, 400);
    assert!(fake.points().is_empty());
    assert_eq!(call(&fake, "POST", "/api/v0/tsdb", &json!([good])).1, json!({"success": true}));
    assert_eq!(fake.requests().last().unwrap().points, 1);
}

#[test]
fn reports_definitions_and_metadata_follow_their_rules() {
    let fake = FakeMackerel::start(Options::at(NOW));
    let id = host(&fake, &json!({"name": "pi", "meta": {}}));
    let report = |time: i64| json!({"source": {"type": "host", "hostId": id}, "name": "ssh", "status": "OK", "message": "", "occurredAt": time});
    let send =
        |reports: Vec<Value>| call(&fake, "POST", "/api/v0/monitoring/checks/report", &json!({"reports": reports})).0;
    assert_eq!(send(vec![report(NOW - 6 * 3600), report(NOW - 60), report(NOW - 120), report(NOW)]), 200);
    assert_eq!(fake.state(|state| (state.reports.len(), state.ignored_reports)), (2, 2));
    assert_eq!(send(vec![report(NOW); 101]), 400);

    let define = |body: Value| call(&fake, "POST", "/api/v0/graph-defs/create?", &body).0;
    let metrics = json!([{"name": "custom.pi.temp.cpu", "isStacked": false}]);
    assert_eq!(define(json!([{"name": "custom.pi.temp", "unit": "float", "metrics": metrics}])), 200);
    assert_eq!(define(json!([{"name": "pi.temp", "metrics": metrics}])), 400);
    assert!(fake.state(|state| state.graph_defs.contains_key("custom.pi.temp")));

    let path = format!("/api/v0/hosts/{id}/metadata");
    assert_eq!(call(&fake, "PUT", &format!("{path}/os"), &json!({"a": 1})).0, 200);
    assert_eq!(call(&fake, "PUT", &format!("{path}/mackerel-x"), &json!(1)).0, 400);
    assert_eq!(call(&fake, "PUT", &format!("{path}/os"), &json!("x".repeat(100_000))).0, 413);
    assert_eq!(call(&fake, "GET", &format!("{path}/os"), &Value::Null), (200, json!({"a": 1})));
    assert_eq!(call(&fake, "GET", &path, &Value::Null).1, json!({"metadata": [{"namespace": "os"}]}));
}

#[test]
fn state_survives_a_stop_and_the_port_stays() {
    let mut fake = FakeMackerel::start(Options::default());
    let id = host(&fake, &json!({"name": "pi", "meta": {}}));
    let mut idle = TcpStream::connect(fake.address()).unwrap();
    assert!(fake.wait_until(Duration::from_secs(5), |state| state.connections == 2));
    fake.stop();
    assert_eq!(idle.read(&mut [0]).unwrap_or(0), 0);
    assert!(TcpStream::connect(fake.address()).is_err());
    fake.restart();
    assert_eq!(call(&fake, "GET", &format!("/api/v0/hosts/{id}"), &Value::Null).0, 200);
    assert_eq!(fake.state(|state| state.connections), 3);
}

#[test]
fn a_connection_serves_many_requests_and_takes_chunks() {
    let fake = FakeMackerel::start(Options::at(784_111_777));
    let chunked = "PUT /x HTTP/1.1\r\nX-Api-Key: fake-key\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n";
    let last = "GET /api/v0/org HTTP/1.1\r\nx-api-key: fake-key\r\nConnection: close\r\n\r\n";
    let answer = String::from_utf8(raw(&fake, &format!("{chunked}{last}")).unwrap()).unwrap();
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 2);
    assert!(answer.contains("Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"));
    assert_eq!(fake.requests()[0].body_size, 5);
    assert!(raw(&fake, "hello\r\n\r\n").unwrap().starts_with(b"HTTP/1.1 400"));
}

fn org(fake: &FakeMackerel) -> std::io::Result<Vec<u8>> {
    raw(fake, "GET /api/v0/org HTTP/1.1\r\nX-Api-Key: fake-key\r\nConnection: close\r\n\r\n")
}

fn struck_by(fault: Fault) -> std::io::Result<String> {
    let fake = FakeMackerel::start(Options::default());
    fake.add_fault(Rule::new(fault).times(1));
    let answer = org(&fake).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(org(&fake).unwrap().starts_with(b"HTTP/1.1 200"));
    answer
}

#[test]
fn faults_strike_as_told() {
    let fake = FakeMackerel::start(Options::at(NOW));
    let id = host(&fake, &json!({"name": "pi", "meta": {}}));
    fake.add_fault(fault_text::parse("status=503,retry-after=7,path=/api/v0/tsdb,skip=1,times=1").unwrap());
    fake.add_fault(Rule::new(Fault::status(400)).on_metric("custom.poison"));
    fake.add_fault(Rule::new(Fault::status(500)).on_method("GET").every(2));
    let send = |name: &str| {
        let body = json!([{"hostId": id, "name": name, "time": NOW, "value": 0}]).to_string();
        exchange(&fake, "fake-key", "POST", "/api/v0/tsdb", &body).0
    };
    assert_eq!([send("a"), send("b"), send("custom.poison"), send("c")], [200, 503, 400, 200]);
    assert_eq!(fake.points().len(), 2);
    let get = || exchange(&fake, "fake-key", "GET", "/api/v0/org", "").0;
    assert_eq!([get(), get(), get(), get()], [200, 500, 200, 500]);
    fake.clear_faults();
    assert_eq!([get(), get()], [200, 200]);
    fake.add_fault(Rule::new(Fault::Latency(Duration::from_millis(120))));
    fake.add_fault(Rule::new(Fault::status(500)));
    let start = Instant::now();
    assert_eq!(get(), 500);
    assert!(start.elapsed() >= Duration::from_millis(120));
    assert!(fault_text::parse("nonsense").is_err() && fault_text::parse("empty,foo=1").is_err());
}

#[test]
fn broken_connections_are_broken_in_the_way_asked() {
    use std::io::ErrorKind::ConnectionReset;
    assert_eq!(struck_by(Fault::DropAfterAccept).unwrap_or_default(), "");
    assert_eq!(struck_by(Fault::ResetAfterRequest(10)).unwrap_err().kind(), ConnectionReset);
    assert_eq!(struck_by(Fault::ResetAfterResponse(0)).unwrap_err().kind(), ConnectionReset);
    let fake = FakeMackerel::start(Options::default());
    let body = r#"{"name":"pi","meta":{}}"#;
    fake.add_fault(Rule::new(Fault::ResetAfterResponse(0)).on_path("/api/v0/hosts").nth(1));
    fake.add_fault(Rule::new(Fault::ResetAfterRequest(80)).on_path("/api/v0/tsdb"));
    let text = |path: &str| format!("POST {path} HTTP/1.1\r\nX-Api-Key: fake-key\r\nContent-Length: 23\r\n\r\n{body}");
    assert!(raw(&fake, &text("/api/v0/hosts")).is_err());
    assert_eq!(fake.hosts().len(), 1); // carried out, and the client never learned
    assert!(raw(&fake, &text("/api/v0/tsdb")).is_err());
    assert_eq!(fake.requests().iter().map(|request| request.status).collect::<Vec<_>>(), [None, None]);
}

#[test]
fn bad_answers_are_bad_in_the_way_asked() {
    let body = |fault| struck_by(fault).unwrap().split_once("\r\n\r\n").unwrap().1.to_owned();
    assert_eq!(body(Fault::EmptyBody), "");
    assert_eq!(body(Fault::EmptyObject), "{}");
    assert!(serde_json::from_str::<Value>(&body(Fault::Garbage)).is_err());
    assert!(serde_json::from_str::<Value>(&body(Fault::TruncatedJson)).is_err());
    assert_eq!(body(Fault::HugeLength(300_000)).len(), 300_000);
    assert!(body(Fault::EndlessBody(300_000)).len() > 300_000);
    assert!(struck_by(Fault::WrongLength(-3)).unwrap().contains("Content-Length: 40\r\n"));
    assert_eq!(struck_by(Fault::ContinueFlood(100)).unwrap().matches("100 Continue").count(), 100);
    assert!(!struck_by(Fault::NotHttp).unwrap().contains("HTTP/1"));
    assert!(struck_by(Fault::PlainText).unwrap().contains("400 Bad"));
    assert!(struck_by(Fault::SlowDrip(Duration::from_micros(10))).unwrap().ends_with('}'));
    let redirect = Fault::Redirect { status: 307, location: "http://127.0.0.1:1/".to_owned() };
    assert!(struck_by(redirect).unwrap().contains("Location: http://127.0.0.1:1/\r\n"));
}

#[test]
fn stopping_ends_those_who_hang() {
    let mut fake = FakeMackerel::start(Options::default());
    for fault in
        [Fault::Silence, Fault::EndlessHeaders, Fault::SlowDrip(Duration::from_secs(60)), Fault::Latency(Duration::MAX)]
    {
        fake.clear_faults();
        fake.add_fault(Rule::new(fault));
        let before = fake.requests().len();
        let mut socket = TcpStream::connect(fake.address()).unwrap();
        socket.write_all(b"GET /api/v0/org HTTP/1.1\r\nX-Api-Key: fake-key\r\n\r\n").unwrap();
        assert!(fake.wait_until(Duration::from_secs(5), |state| state.requests.len() > before));
        let start = Instant::now();
        fake.restart();
        assert!(start.elapsed() < Duration::from_secs(2));
    }
}

fn over_tls(fake: &FakeMackerel) -> Result<u16, ureq::Error> {
    let pem = std::fs::read(fake.ca_file()).unwrap();
    let tls = ureq::tls::TlsConfig::builder()
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .root_certs(ureq::tls::RootCerts::new_with_certs(&[ureq::tls::Certificate::from_pem(&pem).unwrap()]))
        .build();
    let agent = ureq::Agent::new_with_config(ureq::Agent::config_builder().tls_config(tls).build());
    let answer = agent.get(format!("{}/api/v0/org", fake.url())).header("X-Api-Key", fake.key()).call()?;
    Ok(answer.status().as_u16())
}

#[test]
fn https_is_trusted_with_the_private_ca_and_a_good_leaf_only() {
    let fake = FakeMackerel::start(Options::https(Leaf::Good));
    assert_eq!(over_tls(&fake).unwrap(), 200);
    fake.add_fault(Rule::new(Fault::PlainText).times(1));
    assert!(over_tls(&fake).is_err());
    assert_eq!(over_tls(&fake).unwrap(), 200);
    for (leaf, reason) in [(Leaf::Expired, "expired"), (Leaf::WrongName, "not valid for name")] {
        let error = over_tls(&FakeMackerel::start(Options::https(leaf))).unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
    }
}
