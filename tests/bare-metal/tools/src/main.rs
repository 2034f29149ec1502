//! Looks into linked images: what they weigh, where their panics start, what they logged.

use std::error::Error;
use std::process::ExitCode;

mod decode;
mod image;
mod panics;
mod size;
mod thumb;

/// What went wrong, as text.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

const USAGE: &str = "\
usage: image-tools size NAME=IMAGE[@LIMIT]…    .text + .rodata of each, as a Markdown table;
                                               LIMIT: above:BYTES (the first image), total:BYTES
       image-tools panics ALLOWED OWN IMAGE    where panics start; OWN: this crate's source folder
       image-tools decode IMAGE LOG            defmt frames as text";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match args.as_slice() {
        ["size", images @ ..] if !images.is_empty() => size::run(images),
        ["panics", allowed, own, image] => panics::run(allowed, own, image),
        ["decode", image, log] => decode::run(image, log).map(|()| true),
        _ => Err(USAGE.into()),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
