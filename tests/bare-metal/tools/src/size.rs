//! The table of sizes.

use object::{Object, ObjectSection};

use crate::Result;

/// Bytes of `.vector_table`, `.text`, `.rodata` and of what `.data` takes in flash.
fn weigh(path: &str) -> Result<u64> {
    let bytes = std::fs::read(path).map_err(|error| format!("{path}: {error}"))?;
    let file = object::File::parse(&*bytes)?;
    let mut total = 0;
    for name in [".vector_table", ".text", ".rodata", ".data"] {
        let section = file
            .section_by_name(name)
            .ok_or_else(|| format!("{path} has no {name}"))?;
        total += section.size();
    }
    Ok(total)
}

/// Prints a row for each `NAME=IMAGE`, or `NAME=IMAGE@above:LIMIT` or `…@total:LIMIT`; the first is
/// what the others stand on. `false` if a limit is exceeded.
pub(crate) fn run(images: &[&str]) -> Result<bool> {
    println!("| image | bytes | above the empty one |");
    println!("| --- | ---: | ---: |");
    let mut empty = None;
    let mut over = Vec::new();
    for image in images {
        let (name, path) = image.split_once('=').ok_or("NAME=IMAGE")?;
        let (path, limit) = match path.split_once('@') {
            Some((path, limit)) => (path, Some(limit)),
            None => (path, None),
        };
        let size = weigh(path)?;
        let base = *empty.get_or_insert(size);
        let above = size
            .checked_sub(base)
            .ok_or("smaller than the empty image")?;
        println!("| {name} | {} | {} |", grouped(size), grouped(above));
        let (got, limit) = match limit.and_then(|limit| limit.split_once(':')) {
            Some(("above", limit)) => (above, limit.parse()?),
            Some(("total", limit)) => (size, limit.parse()?),
            Some(_) => return Err("above:BYTES or total:BYTES".into()),
            None => continue,
        };
        if got > limit {
            over.push(format!("over budget: {name} has {got} bytes of {limit}"));
        }
    }
    for line in &over {
        eprintln!("{line}");
    }
    Ok(over.is_empty())
}

/// 12345 as 12,345.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
