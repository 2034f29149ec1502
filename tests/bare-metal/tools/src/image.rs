//! A linked image: its functions, and every place that refers to one of them.

use std::collections::BTreeMap;

use object::{Object, ObjectSection, ObjectSymbol, SectionKind, SymbolKind};

use crate::Result;
use crate::thumb::{self, Refers};

/// A function's name and how many bytes it has.
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) size: u32,
}

/// How a place refers to a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// A branch or a call.
    Code,
    /// The function's address, in a register, a literal or a table.
    Address,
}

/// A place that refers to a function.
pub(crate) struct Reference {
    pub(crate) at: u32,
    pub(crate) to: u32,
    pub(crate) how: How,
}

/// What is known of an image.
pub(crate) struct Image {
    pub(crate) functions: BTreeMap<u32, Function>,
    pub(crate) references: Vec<Reference>,
}

impl Image {
    /// Reads all code and all constants of a Thumb-2 image.
    pub(crate) fn read(file: &object::File<'_>) -> Result<Self> {
        let mut functions = BTreeMap::new();
        let mut marks: Vec<(u64, bool)> = Vec::new();
        for symbol in file.symbols() {
            let name = symbol.name()?;
            // The linker says where code ($t) and data ($d) begin.
            if name == "$t" || name.starts_with("$t.") {
                marks.push((symbol.address(), true));
            } else if name == "$d" || name.starts_with("$d.") {
                marks.push((symbol.address(), false));
            } else if symbol.kind() == SymbolKind::Text && symbol.is_definition() {
                let address = u32::try_from(symbol.address() & !1)?;
                let size = u32::try_from(symbol.size())?;
                let entry = functions.entry(address).or_insert(Function {
                    name: format!("{:#}", rustc_demangle::demangle(name)),
                    size,
                });
                entry.size = entry.size.max(size);
            }
        }
        marks.sort_unstable();
        if functions.is_empty() || !marks.iter().any(|mark| mark.1) {
            return Err("the image has no symbols".into());
        }
        let mut image = Self {
            functions,
            references: Vec::new(),
        };
        for section in file.sections() {
            let start = u32::try_from(section.address())?;
            match section.kind() {
                SectionKind::Text => image.read_text(start, section.data()?, &marks),
                SectionKind::ReadOnlyData | SectionKind::Data => {
                    image.read_words(start, section.data()?);
                }
                _ => {}
            }
        }
        Ok(image)
    }

    /// The function that holds an address.
    pub(crate) fn function_at(&self, address: u32) -> Option<(u32, &Function)> {
        let (start, function) = self.functions.range(..=address).next_back()?;
        (address < start + function.size.max(1)).then_some((*start, function))
    }

    fn refer(&mut self, at: u32, to: u32, how: How) {
        if self.functions.contains_key(&to) {
            self.references.push(Reference { at, to, how });
        }
    }

    fn read_text(&mut self, start: u32, bytes: &[u8], marks: &[(u64, bool)]) {
        let mut at = 0;
        let mut halves = [None; 16];
        while at < bytes.len() {
            let address = start + at as u32;
            let known = marks.partition_point(|mark| mark.0 <= u64::from(address));
            let is_code = known == 0 || marks[known - 1].1;
            if !is_code {
                let end = marks.get(known).map_or(bytes.len(), |mark| {
                    (mark.0 as usize)
                        .saturating_sub(start as usize)
                        .min(bytes.len())
                });
                self.read_words(address, &bytes[at..end]);
                at = end.max(at + 2);
                continue;
            }
            let Some((len, refers)) = thumb::decode(address, &bytes[at..]) else {
                break;
            };
            match refers {
                Refers::Branch(to) => self.refer(address, to, How::Code),
                Refers::Low { register, half } => halves[usize::from(register)] = Some(half),
                Refers::High { register, half } => {
                    if let Some(low) = halves[usize::from(register)] {
                        let value = u32::from(half) << 16 | u32::from(low);
                        self.refer(address, value & !1, How::Address);
                    }
                }
                Refers::Nothing => {}
            }
            // An image below 64 KiB needs no high half.
            if let Refers::Low { half, .. } = refers {
                if half & 1 == 1 {
                    self.refer(address, u32::from(half & !1), How::Address);
                }
            }
            at += len;
        }
    }

    /// Words that are the address of a function in Thumb state.
    fn read_words(&mut self, start: u32, bytes: &[u8]) {
        let skip = (4 - start as usize % 4) % 4;
        for (index, word) in bytes.get(skip..).unwrap_or(&[]).chunks_exact(4).enumerate() {
            let word = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
            if word & 1 == 1 {
                let at = start + (skip + 4 * index) as u32;
                self.refer(at, word & !1, How::Address);
            }
        }
    }
}
