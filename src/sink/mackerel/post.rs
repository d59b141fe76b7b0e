//! Metric posts: their JSON, and the search for the point that spoils one.

use serde::{Serialize, Serializer};

use super::super::{Failure, Receipt};
use crate::derive::Point;

/// How many points may be refused, each alone, before anything is accepted, until the search turns to the other half
/// of the batch; and how many in all until the fault is taken to be the server's.
const MAX_LONE_REFUSALS: usize = 5;

/// The most requests that the search may take: a server that takes only single points must not get hundreds at once.
const MAX_REQUESTS: u64 = 100;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MetricValue<'a> {
    host_id: &'a str,
    name: &'a str,
    time: i64,
    #[serde(serialize_with = "number")]
    value: f64,
}

/// Whole numbers without `.0`, as mackerel-agent writes them.
#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn number<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53
    if value.fract() == 0.0 && value.abs() < EXACT {
        #[allow(clippy::cast_possible_truncation)] // whole, and well within 64 bits
        let whole = *value as i64;
        return serializer.serialize_i64(whole);
    }
    serializer.serialize_f64(*value)
}

/// The body of `POST /api/v0/tsdb`.
pub(super) fn body(host_id: &str, points: &[Point]) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::with_capacity(points.len() * 100 + 2);
    let values = points.iter().map(|p| MetricValue { host_id, name: &p.name, time: p.time, value: p.value });
    let mut serializer = serde_json::Serializer::new(&mut body);
    serializer.collect_seq(values).map_err(|error| Failure::later(error.to_string()))?;
    Ok(body)
}

/// Sends `points` by `post`. What is refused is halved until the bad point is alone; good points never go with it.
///
/// # Errors
/// Whatever is not about the content; and content refusals when nothing at all is accepted.
pub(super) fn send<'p>(
    points: &'p [Point],
    post: &'p mut dyn FnMut(&[Point]) -> Result<(), Failure>,
) -> Result<Receipt, Failure> {
    let mut search = Search { post, requests: 0, receipt: Receipt::default(), refused: Vec::new() };
    search.halve(points)?;
    let refused = std::mem::take(&mut search.refused);
    if search.receipt.accepted == 0 {
        // Points are dropped only beside others that are taken: a server that refuses everything costs none.
        return match refused.into_iter().next() {
            Some((_, reason)) => Err(Failure::Denied { reason: format!("refuses every point: {reason}") }),
            None => Ok(search.receipt),
        };
    }
    for (point, reason) in refused {
        // Once more: it may have been refused while the server refused everything.
        match (search.post)(std::slice::from_ref(point)) {
            Ok(()) => search.receipt.accepted += 1,
            Err(Failure::Content { .. }) => {
                search.receipt.rejected += 1;
                log::warn!("mackerel: dropped one point of {}: {reason}", point.name);
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(search.receipt)
}

struct Search<'p> {
    post: &'p mut dyn FnMut(&[Point]) -> Result<(), Failure>,
    requests: u64,
    receipt: Receipt,
    /// Each alone, with the reason.
    refused: Vec<(&'p Point, String)>,
}

impl<'p> Search<'p> {
    fn halve(&mut self, points: &'p [Point]) -> Result<(), Failure> {
        self.requests += 1;
        if self.requests > MAX_REQUESTS {
            return Err(Failure::later("refuses so many points that the search for the bad ones was given up"));
        }
        match (self.post)(points) {
            Ok(()) => self.receipt.accepted += points.len() as u64,
            Err(Failure::Content { reason }) => match points {
                [] => {}
                [point] => self.refused.push((point, reason)),
                _ => {
                    let (first, second) = points.split_at(points.len() / 2);
                    // While nothing is accepted, the half that is less searched goes first.
                    if self.is_hopeless() {
                        self.halve(second)?;
                        return if self.is_hopeless() { Err(Failure::Denied { reason }) } else { self.halve(first) };
                    }
                    self.halve(first)?;
                    self.halve(second)?;
                }
            },
            Err(failure) => return Err(failure),
        }
        Ok(())
    }

    fn is_hopeless(&self) -> bool {
        self.receipt.accepted == 0 && self.refused.len() >= MAX_LONE_REFUSALS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(count: usize) -> Vec<Point> {
        (0..count).map(|i| Point { name: format!("m{i}"), time: 60, value: 0.5 }).collect()
    }

    fn refuse(bad: &str) -> impl FnMut(&[Point]) -> Result<(), Failure> + '_ {
        move |points| match points.iter().any(|point| point.name == bad || bad == "all") {
            true => Err(Failure::Content { reason: "400".to_owned() }),
            false => Ok(()),
        }
    }

    #[test]
    fn good_points_never_go_with_a_bad_one() {
        let receipt = send(&points(100), &mut refuse("m37")).unwrap();
        assert_eq!(receipt, Receipt { accepted: 99, rejected: 1 });
        let receipt = send(&points(2), &mut refuse("m0")).unwrap();
        assert_eq!(receipt, Receipt { accepted: 1, rejected: 1 });
    }

    #[test]
    fn a_server_that_refuses_for_a_moment_costs_nothing() {
        for recovers_after in 1..30 {
            let mut posts = 0;
            let outcome = send(&points(64), &mut |_| {
                posts += 1;
                match posts > recovers_after {
                    true => Ok(()),
                    false => Err(Failure::Content { reason: "400".to_owned() }),
                }
            });
            // Either all arrived, or all are tried again later.
            assert!(outcome.is_err() || outcome == Ok(Receipt { accepted: 64, rejected: 0 }), "{recovers_after}");
        }
    }

    #[test]
    fn a_few_bad_points_at_the_head_do_not_hide_the_good_ones() {
        let receipt = send(&points(100), &mut |points| match points
            .iter()
            .any(|point| ["m0", "m1", "m2", "m3", "m4", "m5"].contains(&point.name.as_str()))
        {
            true => Err(Failure::Content { reason: "400".to_owned() }),
            false => Ok(()),
        });
        assert_eq!(receipt, Ok(Receipt { accepted: 94, rejected: 6 }));
    }

    #[test]
    fn a_server_that_refuses_everything_costs_nothing() {
        let mut posts = 0;
        let failure = send(&points(500), &mut |points| {
            posts += 1;
            refuse("all")(points)
        });
        assert!(matches!(failure, Err(Failure::Denied { .. })), "{failure:?}");
        assert!(posts < 30, "{posts}");
        assert!(send(&points(1), &mut refuse("all")).is_err(), "one point alone proves nothing either");
    }

    #[test]
    fn the_body_is_mackerel_agents() {
        let points = [
            Point { name: "loadavg5".to_owned(), time: 1_718_000_040, value: 0.12 },
            Point { name: "memory.total".to_owned(), time: 1_718_000_040, value: 25_276_514_304.0 },
        ];
        assert_eq!(
            String::from_utf8(body("2eQGEaLxibb", &points).unwrap()).unwrap(),
            r#"[{"hostId":"2eQGEaLxibb","name":"loadavg5","time":1718000040,"value":0.12},"#.to_owned()
                + r#"{"hostId":"2eQGEaLxibb","name":"memory.total","time":1718000040,"value":25276514304}]"#
        );
    }
}
