//! Temperatures of the kernel's thermal zones, in millidegrees Celsius.
//!
//! Reads `/sys/class/thermal/thermal_zone*/temp` (kernel doc driver-api/thermal/sysfs-api). A zone is named by its
//! type, with `#2` and so on where several share one, because `thermal_zoneN` changes with the order of loading.
//! A zone that is disabled answers EINVAL or EAGAIN: a gap, never a zero.

use std::collections::HashMap;
use std::path::PathBuf;

use crate::config::Sensors;
use crate::platform::host::Host;
use crate::series::{Kind, Metric};

use super::sysfs::{text_at, Input, Inputs, Quantity, POSSIBLE_MILLICELSIUS};
use super::{Entry, Sensor};

const CLASS: &str = "/sys/class/thermal";

const TEMP: Metric = Metric {
    name: "thermal.temp",
    kind: Kind::Gauge,
    unit: "millidegree Celsius",
    source: "/sys/class/thermal/thermal_zone*/temp",
    help: "temperature of a thermal zone",
};

static QUANTITY: Quantity = Quantity { metric: TEMP, possible: POSSIBLE_MILLICELSIUS };

pub(super) const ENTRY: Entry = Entry { name: "thermal", metrics: &[TEMP], open };

fn open(host: &Host, _: &Sensors) -> Box<dyn Sensor> {
    Box::new(Inputs::new(host.path(CLASS), "thermal_zone", search))
}

fn search(devices: &[PathBuf]) -> Vec<Input> {
    let mut of_type: HashMap<Box<str>, u32> = HashMap::new();
    let mut inputs = Vec::new();
    for path in devices {
        // A zone without a type has gone meanwhile.
        let Some(kind) = text_at(&path.join("type")) else { continue };
        let nth = of_type.entry(kind.clone()).or_insert(0);
        *nth += 1;
        let zone = if *nth == 1 { kind.clone() } else { format!("{kind}#{nth}").into() };
        inputs.push(Input::new(&QUANTITY, vec![("zone", zone), ("type", kind)], path.join("temp"), None));
    }
    inputs
}
