use super::{Pair, documents, pair};
use crate::source::*;

mod ours {
    pub use mvm_core::signing::SignedDocument as SignedPayload;
}
use old::signing as theirs;

impl Any for mvm_core::signing::Signature {
    fn any(source: &mut Source<'_>) -> Self {
        Self::from_bytes(any(source))
    }
}

impl Any for ours::SignedPayload {
    fn any(source: &mut Source<'_>) -> Self {
        Self::from_parts(any(source), any(source), any(source))
    }
}

documents!(@record theirs SignedPayload { payload, signature: exactly(64, any), signer_id: id });

pub(super) fn pairs() -> Vec<Pair> {
    vec![pair!(SignedPayload)]
}
