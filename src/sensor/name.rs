//! Device names as Mackerel's metric names hold them.

/// `name` with every character other than `A-Z a-z 0-9 _ -` replaced by `_`, one for one.
#[must_use]
pub fn sanitise(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_mackerel_does_not_allow_becomes_an_underscore() {
        let table = [
            ("eth0.100", "eth0_100"),
            ("mapper/vg-root", "mapper_vg-root"),
            ("/", "_"),
            ("/boot/firmware", "_boot_firmware"),
            ("cciss/c0d0", "cciss_c0d0"),
            ("cciss!c0d0", "cciss_c0d0"),
            ("é..x", "___x"),
        ];
        for (name, sanitised) in table {
            assert_eq!(sanitise(name), sanitised);
        }
    }
}
