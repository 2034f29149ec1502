//! `mvm-core` and its version 0.13.0 read each other's documents.
//!
//! Both are linked into one program. For every type there are random values of both ([`source`],
//! [`documents`]); [`exchange`] writes a value with one, reads it with the other, writes it again and reads
//! that with the first. `tests/` runs that for all types, and holds what the new one refuses.

pub mod documents;
pub mod exchange;
pub mod source;
