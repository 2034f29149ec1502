//! Puts `memory.x` where the linker looks, defmt's linker script into the image that logs, the
//! vectors of `tests/vectors` into a table, and plants the fault that CI asks for: the image must
//! then fail.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    println!("cargo:rerun-if-changed=memory.x");
    println!("cargo:rustc-link-search={}", env!("CARGO_MANIFEST_DIR"));
    println!("cargo:rustc-link-arg-bin=proof=-Tdefmt.x");
    println!("cargo:rerun-if-env-changed=CI_PLANTED");
    if let Ok(fault) = std::env::var("CI_PLANTED") {
        println!("cargo:rustc-cfg=planted=\"{fault}\"");
    }
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("vectors.rs"), vectors()?)?;
    Ok(())
}

fn rows(table: &str) -> Result<Vec<Value>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../vectors")
        .join(table);
    println!("cargo:rerun-if-changed={}", path.display());
    let text = std::fs::read_to_string(&path)?;
    text.lines()
        .map(|line| Ok(serde_json::from_str(line)?))
        .collect()
}

fn text<'a>(row: &'a Value, member: &str) -> Result<&'a str> {
    Ok(row[member].as_str().ok_or("no text")?)
}

fn vectors() -> Result<String> {
    let mut out = String::new();
    let names = rows("behaviour/validate_names.jsonl")?;
    writeln!(
        out,
        "/// Input; whether it is an id, a VM name, a template name.\n\
         pub static NAMES: [(&str, [bool; 3]); {}] = [",
        names.len()
    )?;
    for row in &names {
        let ok = |function: &str| row[function]["ok"].as_bool().ok_or("no bool");
        writeln!(
            out,
            "({:?}, [{}, {}, {}]),",
            text(row, "input")?,
            ok("validate_id")?,
            ok("validate_vm_name")?,
            ok("validate_template_name")?
        )?;
    }
    let taps = rows("behaviour/tap_mac.jsonl")?;
    writeln!(
        out,
        "];\n/// Network, offset, TAP device, MAC address.\n\
         pub static TAPS: [(u16, u16, &str, &str); {}] = [",
        taps.len()
    )?;
    for row in &taps {
        writeln!(
            out,
            "({}, {}, {:?}, {:?}),",
            row["net_id"],
            row["offset"],
            text(row, "tap_name")?,
            text(row, "mac_address")?
        )?;
    }
    let transitions = rows("behaviour/validate_transition.jsonl")?;
    writeln!(
        out,
        "];\n/// From, to, whether that is allowed.\n\
         pub static TRANSITIONS: [(&str, &str, bool); {}] = [",
        transitions.len()
    )?;
    for row in &transitions {
        let (from, to) = (text(row, "from")?, text(row, "to")?);
        writeln!(out, "({from:?}, {to:?}, {}),", row["ok"])?;
    }
    let signatures = rows("signing/rfc8032.jsonl")?;
    writeln!(
        out,
        "];\n/// A vector of RFC 8032 §7.1.\n\
         pub struct Rfc8032 {{\n    /// Its name.\n    pub case: &'static str,\n    /// Secret key.\n    pub seed: [u8; 32],\n\
         /// Public key.\n    pub public: [u8; 32],\n    /// What is signed.\n    pub message: &'static [u8],\n\
         /// Its signature.\n    pub signature: [u8; 64],\n}}\n/// All of them.\n\
         pub static RFC8032: [Rfc8032; {}] = [",
        signatures.len()
    )?;
    for row in &signatures {
        writeln!(
            out,
            "Rfc8032 {{ case: {:?}, seed: {:?}, public: {:?}, message: &{:?}, signature: {:?} }},",
            text(row, "case")?,
            hex(text(row, "seed")?)?,
            hex(text(row, "public")?)?,
            hex(text(row, "message")?)?,
            hex(text(row, "signature")?)?
        )?;
    }
    out.push_str("];\n");
    Ok(out)
}

fn hex(text: &str) -> Result<Vec<u8>> {
    (0..text.len() / 2)
        .map(|at| Ok(u8::from_str_radix(&text[2 * at..2 * at + 2], 16)?))
        .collect()
}
