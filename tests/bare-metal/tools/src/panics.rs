//! Where panics start.
//!
//! Every panic of an image ends in the function `panicked` of the image's own panic handler. From
//! there the references are followed backwards: what refers to a panicking function from inside the
//! core library (or from a piece of code that the compiler has shared out) panics as well; what
//! refers to one from anywhere else is a *site*. DWARF says of each site through which inlined
//! functions it came to be there. The innermost function outside of the core library is where the
//! panic starts.

use std::collections::{BTreeMap, BTreeSet};

use addr2line::Context;
use addr2line::gimli::{EndianSlice, RunTimeEndian};
use object::{Object, ObjectSection};

use crate::Result;
use crate::image::{How, Image};

/// The end of every panic.
const END: &str = "panicked";

/// A function, and where it was written.
#[derive(Clone)]
struct Frame {
    function: String,
    file: String,
    line: u32,
}

/// One line of the list of sites that are allowed: `count TAB function TAB reason`.
struct Allowed {
    function: String,
    count: usize,
}

fn read_allowed(path: &str) -> Result<Vec<Allowed>> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    let mut list = Vec::new();
    for line in text.lines() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut columns = line.splitn(3, '\t');
        match (columns.next(), columns.next(), columns.next()) {
            (Some(count), Some(function), Some(reason)) if !reason.is_empty() => {
                list.push(Allowed {
                    function: function.into(),
                    count: count.parse()?,
                });
            }
            _ => return Err(format!("{path}: not `count TAB function TAB reason`: {line}").into()),
        }
    }
    Ok(list)
}

/// Source of the core library, and not of a crate.
fn is_core(frame: &Frame) -> bool {
    // `/rustc/<commit>/library/core/…` as shipped, `…/rustlib/src/rust/library/…` where built here,
    // `…/rustc-web-1.96/library/…` from Debian.
    frame.file.contains("/library/core/") || frame.file.contains("/library/compiler-builtins/")
}

type Dwarf<'data> = Context<EndianSlice<'data, RunTimeEndian>>;

/// From the innermost inlined function to the one that is in the symbol table.
fn frames(dwarf: &Dwarf<'_>, address: u32) -> Result<Vec<Frame>> {
    let mut list = Vec::new();
    let mut frames = dwarf.find_frames(u64::from(address)).skip_all_loads()?;
    while let Some(frame) = frames.next()? {
        let function = match &frame.function {
            Some(name) => format!("{:#}", rustc_demangle::demangle(&name.raw_name()?)),
            None => String::new(),
        };
        let (file, line) = frame.location.map_or((String::new(), 0), |location| {
            (
                location.file.unwrap_or("").to_owned(),
                location.line.unwrap_or(0),
            )
        });
        list.push(Frame {
            function,
            file,
            line,
        });
    }
    Ok(list)
}

/// Prints every site; `false` if one of them may not be.
pub(crate) fn run(allowed: &str, own: &str, image: &str) -> Result<bool> {
    let allowed = read_allowed(allowed)?;
    let bytes = std::fs::read(image).map_err(|error| format!("{image}: {error}"))?;
    let file = object::File::parse(&*bytes)?;
    let read = Image::read(&file)?;
    let section = |id: addr2line::gimli::SectionId| -> Result<EndianSlice<'_, RunTimeEndian>> {
        let data = match file.section_by_name(id.name()) {
            Some(section) => section.data()?,
            None => &[],
        };
        Ok(EndianSlice::new(data, RunTimeEndian::Little))
    };
    let dwarf = Context::from_dwarf(addr2line::gimli::Dwarf::load(section)?)?;
    if file.section_by_name(".debug_info").is_none() {
        return Err("the image has no debug information".into());
    }

    let ends: Vec<u32> = (read.functions.iter())
        .filter(|(_, function)| function.name == END)
        .map(|(address, _)| *address)
        .collect();
    let mut panicking: BTreeSet<u32> = ends.iter().copied().collect();
    let mut queue = ends;
    let mut sites: BTreeMap<u32, Vec<Frame>> = BTreeMap::new();
    let mut tables = 0;
    while let Some(function) = queue.pop() {
        for reference in read.references.iter().filter(|r| r.to == function) {
            let Some((start, holder)) = read.function_at(reference.at) else {
                // A table of functions in the constants: who calls through it is not known.
                tables += 1;
                println!(
                    "table at {:#x} holds {}",
                    reference.at, read.functions[&function].name
                );
                continue;
            };
            // A function's own branches.
            if start == function {
                continue;
            }
            let chain = frames(&dwarf, reference.at)?;
            let shared = holder.name.starts_with("OUTLINED_FUNCTION_");
            let handler = chain
                .iter()
                .any(|frame| frame.function.contains("rust_begin_unwind"))
                || holder.name.contains("rust_begin_unwind");
            let inside = !chain.is_empty() && chain.iter().all(is_core);
            if reference.how == How::Code && (shared || handler || inside) {
                if panicking.insert(start) {
                    queue.push(start);
                }
            } else {
                sites.insert(reference.at, chain);
            }
        }
    }

    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut ok = tables == 0;
    for (address, chain) in &sites {
        let start = chain.iter().find(|frame| !is_core(frame));
        let function = start.map_or("?", |frame| frame.function.as_str());
        let is_own = start.is_none_or(|frame| frame.file.contains(own));
        println!(
            "{}{address:#x}: panic starts in {function}",
            if is_own { "OURS " } else { "" }
        );
        for frame in chain {
            println!("    {} ({}:{})", frame.function, frame.file, frame.line);
        }
        ok &= !is_own;
        *counts.entry(function.to_owned()).or_default() += 1;
    }
    for (function, count) in &counts {
        let limit = (allowed.iter())
            .find(|entry| &entry.function == function)
            .map_or(0, |entry| entry.count);
        if *count > limit {
            println!("not allowed: {count} in {function}, {limit} on the list");
            ok = false;
        }
    }
    println!(
        "{} functions, {} references, {} functions that only panic, {} sites",
        read.functions.len(),
        read.references.len(),
        panicking.len(),
        sites.len()
    );
    Ok(ok)
}
