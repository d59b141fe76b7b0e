//! The program as its users meet it: a child process, a fake Mackerel, a directory.
//!
//! `IWASHI_UNDER_TEST` may name another program than cargo's, as words with single spaces between:
//! `IWASHI_UNDER_TEST="qemu-arm-static -cpu arm1176 /abs/iwashi" cargo test --test end_to_end`.

#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::indexing_slicing, clippy::print_stderr, clippy::float_cmp)]

#[path = "../fake_mackerel/mod.rs"]
mod fake_mackerel;

mod agent;
mod bad_input;
mod conservation;
mod expected;
mod fixture;
mod home;
mod https;
mod registration;
mod signals;
mod ticks;
