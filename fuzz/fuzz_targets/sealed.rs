#![no_main]

#[path = "../inputs.rs"]
#[allow(dead_code)]
mod inputs;
#[path = "../../tests/common/sim_disk.rs"]
mod sim_disk;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| inputs::sealed(bytes));
