//! What would be posted, in the shape of mackerel-agent's `once`.

use std::time::Duration;

use serde_json::{json, Map, Value};

use crate::config::Config;
use crate::derive::mackerel::Deriver;
use crate::derive::Derive;
use crate::frame::Frame;
use crate::host_spec::{self, Identity};
use crate::platform::clock::Clock;
use crate::platform::date::Date;
use crate::platform::host::Host;
use crate::sensor::Sampler;
use crate::series::SeriesTable;

/// Between the two frames that rates are made of.
const BETWEEN: Duration = Duration::from_secs(1);

/// The host's description and one set of values; nothing is stored or sent.
///
/// # Errors
/// When the description cannot be put into JSON.
pub fn once(config: &Config, host: &dyn Fn() -> Host, clock: &dyn Clock) -> Result<Value, serde_json::Error> {
    let mut sampler = Sampler::open(host(), &config.sensors);
    let mut table = SeriesTable::default();
    let (mut before, mut frame) = (Box::<Frame>::default(), Box::<Frame>::default());
    sampler.sample(clock.now(), &mut table, &mut before);
    #[allow(clippy::disallowed_methods)] // a command with nothing else to wait for
    std::thread::sleep(BETWEEN);
    let now = clock.now();
    sampler.sample(now, &mut table, &mut frame);
    let deriver = Deriver { use_mountpoint: config.use_mountpoint };
    let points = deriver.points(Some(&before), &frame, &table, now.wall_ms.div_euclid(1000));
    let values: Map<String, Value> =
        points.into_iter().map(|point| (point.name, json!({ "Time": null, "Value": point.value }))).collect();
    let identity = Identity {
        display_name: config.display_name.as_deref(),
        roles: &config.roles,
        custom_identifier: config.custom_identifier.as_deref(),
        checks: &config.checks,
    };
    Ok(json!({
        "host": serde_json::to_value(host_spec::collect(&host(), &identity))?,
        "metrics": {
            "Created": Date(now.wall_ms).to_string(),
            "Values": [{ "Values": values, "CustomIdentifier": null }],
        },
    }))
}
