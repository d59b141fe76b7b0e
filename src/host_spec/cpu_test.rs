use super::super::tree::Tree;
use super::*;

const XEON: &str = include_str!("../../tests/fixtures/spec/cpuinfo-xeon");
const PI_4: &str = include_str!("../../tests/fixtures/spec/cpuinfo-pi4");
const OLD_ARM: &str = include_str!("../../tests/fixtures/spec/cpuinfo-old-arm");
const MIPS: &str = "system type\t\t: MediaTek MT7621 ver:1 eco:3\nmachine\t\t\t: Ubiquiti EdgeRouter X\n\
                    processor\t\t: 0\ncpu model\t\t: MIPS 1004Kc V2.15\ncore\t\t\t: 0\n\n\
                    processor\t\t: 1\ncpu model\t\t: MIPS 1004Kc V2.15\n";

/// `vendor_id model stepping physical_id core_id cache_size model_name family cores mhz` of each.
fn described(tree: &Tree) -> Vec<String> {
    let cpus = read(&tree.host()).unwrap();
    let line = |c: &Cpu| {
        [
            &c.vendor_id,
            &c.model,
            &c.stepping,
            &c.physical_id,
            &c.core_id,
            &c.cache_size,
            &c.model_name,
            &c.family,
            &c.cores,
            &c.mhz,
        ]
        .map(String::as_str)
        .join("|")
    };
    cpus.iter().map(line).collect()
}

#[test]
fn x86_is_described_as_mackerel_agent_did() {
    let line = |core| format!("GenuineIntel|207|2|0|{core}|266240 KB|Intel(R) Xeon(R) Processor|6|1|2299.998");
    assert_eq!(described(&Tree::new(&[("proc/cpuinfo", XEON)])), [line(0), line(1)]);
}

#[test]
fn a_raspberry_pi_4_has_four_cortex_a72_and_the_clock_of_sysfs() {
    let tree = Tree::new(&[("proc/cpuinfo", PI_4)]);
    for core in 0..4 {
        let dir = format!("sys/devices/system/cpu/cpu{core}");
        tree.write(&format!("{dir}/topology/core_id"), format!("{core}\n").as_bytes());
        tree.write(&format!("{dir}/cpufreq/cpuinfo_max_freq"), b"1800000\n");
    }
    let expected = [0, 1, 2, 3].map(|core| format!("ARM|0xd08|3||{core}|0 KB|Cortex-A72||1|1800"));
    assert_eq!(described(&tree), expected);
}

#[test]
fn an_old_arm_kernel_names_the_model_before_the_processors() {
    let expected = [
        "||0|||0 KB|ARMv7 Processor rev 10 (v7l)||1|0",
        // The lines after the last processor are about all; gopsutil gives them to the last.
        "ARM|0xc09|10|||0 KB|Cortex-A9||1|0",
    ];
    assert_eq!(described(&Tree::new(&[("proc/cpuinfo", OLD_ARM)])), expected);
}

#[test]
fn mips_is_named_by_its_cpu_model() {
    assert_eq!(described(&Tree::new(&[("proc/cpuinfo", MIPS)])), ["||0|||0 KB|MIPS 1004Kc V2.15||1|0"; 2]);
}

#[test]
fn the_clock_is_the_shortest_decimal_in_mhz() {
    for (max_freq, mhz) in
        [("1512000", "1512"), ("1512500", "1512.5"), ("2400000000", "2400"), ("x", "600"), ("NaN", "600")]
    {
        let tree = Tree::new(&[
            ("proc/cpuinfo", "processor : 0\ncpu MHz : 600.000\n"),
            ("sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq", max_freq),
        ]);
        assert_eq!(read(&tree.host()).unwrap()[0].mhz, mhz, "{max_freq}");
    }
    let power =
        Tree::new(&[("proc/cpuinfo", "processor : 0\nclock : 3425.000000MHz\nrevision : 2.3 (pvr 004e 1203)\n")]);
    assert_eq!(described(&power), ["||2|||0 KB|||1|3425"]);
}

#[test]
fn an_arm_core_newer_than_the_table_is_undefined() {
    let text = "processor : 0\nCPU implementer : 0x41\nCPU part : 0xfff\nprocessor : 1\nCPU implementer : 0x51\n\
                CPU part : 0x800\n";
    let expected = ["ARM|0xfff|0|||0 KB|Undefined||1|0", "Qualcomm|0x800|0|||0 KB|||1|0"];
    assert_eq!(described(&Tree::new(&[("proc/cpuinfo", text)])), expected);
}

#[test]
fn a_number_that_is_none_drops_all_processors() {
    for bad in ["stepping : unknown", "cache size : 8 MB", "processor : x", "processor :"] {
        let tree = Tree::new(&[("proc/cpuinfo", &format!("processor : 0\n{bad}\n"))]);
        assert_eq!(read(&tree.host()).unwrap_err().kind(), io::ErrorKind::InvalidData, "{bad}");
    }
    assert_eq!(described(&Tree::new(&[("proc/cpuinfo", "\0\u{1}: :::\nstepping : x\n")])), Vec::<String>::new());
    assert_eq!(read(&Tree::new(&[]).host()).unwrap_err().kind(), io::ErrorKind::NotFound);
}
