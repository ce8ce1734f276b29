//! The program `l402d`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    l402d::main(&l402d::Args::parse())
}
