//! The command line, run as people run it.

mod bad_data;
mod bad_models;
mod bad_words;
mod bench;
mod convert;
mod domains;
#[cfg(unix)]
mod domains_unix;
mod end_to_end;
mod listings;
mod runs;
mod segment;
mod support;
mod units;
#[cfg(unix)]
mod unix;
