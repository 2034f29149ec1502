//! Which desired states a node applies: those that [`Admission::admit`] lets through.
//!
//! It checks, in this order:
//!
//! 1. **Signature**: [`SignedPayload::verify`] against the keys that the node trusts. Nothing of the payload
//!    is looked at before.
//! 2. **Document**: its shape, its values and the rules between them, as
//!    [`from_json`](crate::document::Document::from_json) does.
//! 3. **Node**: the state is for this node.
//! 4. **Sequence**: it does not go back. The sequence of the state that was admitted last is admitted again
//!    with the very same state, and with no other one.
//! 5. **Expiry**: the state's own, and that of the key that signed it.
//!
//! What comes out is an [`AdmittedState`], which nothing else makes.
//!
//! # Two payloads, and how each of them ends
//! | payload | who signs it | when it ends |
//! | --- | --- | --- |
//! | [`TimedState`] | a coordinator that knows this crate | at its `expires_at`, or with the key that signed it if that is earlier |
//! | [`DesiredState`] | any coordinator, also one on 0.13.0 | with the key that signed it |
//!
//! A [`DesiredState`] has no room for an expiry: 0.13.0 refuses a member that it does not know. What a
//! coordinator on 0.13.0 signs is therefore bound to a node and a sequence, but not to a time, and whoever
//! can keep newer states from a node can hold it at an old one. What bounds that time is the key: give it an end with
//! [`TrustedKey::between`], and sign with the next one before. A state that ends neither by itself nor with
//! its key is refused ([`AdmissionError::NoExpiry`]) unless the node is configured
//! [`without_expiry`](Admission::without_expiry).
//!
//! A node on 0.13.0 refuses a [`TimedState`]: a coordinator sends it to nodes that it knows to be newer, and
//! the bare state to others.
//!
//! # Sequences
//! The sequence is a member of the state; where it is missing it is 0, as for 0.13.0. So a coordinator that
//! does not number its states gets one admitted, and no other one after it: numbers are what keeps an old
//! state from coming back.
//!
//! The node keeps the [`record`](AdmittedState::record) of the last admitted state, and saves it *before* it applies the
//! state: then a crash between the two admits the same state again, which is harmless. What holds without a
//! record is for the caller to say, see [`LastAdmitted`].
//!
//! # Without signatures
//! `AgentRequest::Reconcile` brings a state that nobody signed. It is for development only and has a path of
//! its own, [`accept_unsigned_for_development`], whose [`UnsignedState`] is not an [`AdmittedState`].
//!
//! # Example
//! ```
//! use mvm_core::agent::DesiredState;
//! use mvm_core::agent::admission::{Admission, AdmissionError, LastAdmitted, TimedState};
//! use mvm_core::document::Document;
//! use mvm_core::naming::{NodeId, SignerId};
//! use mvm_core::signing::{DocumentKey, SignedDocument, TrustedKey};
//!
//! // The coordinator.
//! let key = DocumentKey::from_seed(&[7; 32]);
//! let signer = SignerId::new("coordinator-1")?;
//! let state = DesiredState::from_json(
//!     br#"{"schema_version": 1, "node_id": "node-1", "tenants": [], "sequence": 12}"#,
//! )?;
//! let timed = TimedState { expires_at: "2026-06-01T12:10:00Z".parse()?, desired_state: state };
//! let signed = SignedDocument::sign(serde_json::to_vec(&timed)?, signer.clone(), &key)?;
//!
//! // The node.
//! let (node, trusted) = (NodeId::new("node-1")?, [TrustedKey::new(signer, key.public())]);
//! let now = Some("2026-06-01T12:00:00Z".parse()?);
//! let admitted = Admission::new(&node, &trusted, LastAdmitted::Nothing, now).admit(&signed)?;
//! assert_eq!(admitted.state().sequence, 12);
//!
//! // Later.
//! let last = LastAdmitted::Record(admitted.record().clone());
//! let later = Some("2026-06-01T12:20:00Z".parse()?);
//! let refused = Admission::new(&node, &trusted, last, later).admit(&signed);
//! assert!(matches!(refused, Err(AdmissionError::Expired { .. })));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use alloc::string::{String, ToString};
use core::fmt::Write;
use core::ops::Deref;

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use thiserror_no_std::Error;

use super::{DESIRED_STATE_SCHEMA, DesiredState};
use crate::fleet::document::{Document, Invalid, Text, document};
use crate::fleet::text::HashText;
use crate::names::{NodeId, SignerId};
use crate::signing::{SignedPayload, TrustedKey, VerifyError, hash};
use crate::time::Timestamp;

document! {
    /// A desired state with an end, to be signed as a whole. Not a document of 0.13.0: see the
    /// [module's documentation](self#two-payloads-and-how-each-of-them-ends).
    pub struct TimedState [deny_unknown_fields] {
        /// The last instant at which the state may be admitted.
        expires_at: Timestamp,
        /// The state.
        desired_state: DesiredState,
    }
}

document! {
    /// What a node remembers of the desired state that it admitted last, in a file or elsewhere. Not a
    /// document of 0.13.0.
    #[derive(Eq)]
    pub struct AdmissionRecord {
        /// Its sequence.
        sequence: u64,
        /// A hash of it: SHA-512/256 in hexadecimal, over a prefix and the state's JSON as this crate
        /// writes it. The same state always has the same one, however its coordinator writes it and
        /// whatever its expiry.
        state_hash: HashText,
    }
}

/// What a node knows of the desired state that it admitted last.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LastAdmitted {
    /// The node is new and never admitted one.
    Nothing,
    /// The record of the last one.
    Record(AdmissionRecord),
    /// There should be a record, and it is lost or cannot be read. Nothing is admitted: any state, however
    /// old, could be the right one. Who knows more says it with [`AtLeast`](Self::AtLeast).
    Lost,
    /// The record is lost, and somebody who knows said which sequence the next state must have at least: an
    /// operator, or the coordinator in a way that cannot be replayed.
    AtLeast(u64),
}

/// Why a desired state was not admitted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AdmissionError {
    /// It is not signed by somebody whom the node trusts.
    #[error("{0}")]
    Signature(VerifyError),
    /// It was written for a newer schema than this program knows: the node is the side to upgrade.
    #[error(
        "the desired state has schema version {found}, newer than {known}, the newest that is known: upgrade this node"
    )]
    NewerSchema {
        /// The version of the state.
        found: u64,
        /// The newest version that is known.
        known: u32,
    },
    /// It is not valid.
    #[error("the desired state is not valid: {0}")]
    Invalid(Invalid),
    /// It is for another node.
    #[error("the desired state is for {theirs}, not for this node")]
    OtherNode {
        /// The node that it is for.
        theirs: NodeId,
    },
    /// It is older than the one that was admitted last, or than what may be admitted.
    #[error("sequence {sequence} is older than {last}")]
    Backwards {
        /// Its sequence.
        sequence: u64,
        /// The least that may be admitted.
        last: u64,
    },
    /// Its sequence is that of the state that was admitted last, which was another one.
    #[error("another state with sequence {sequence} was admitted before")]
    Reused {
        /// The sequence.
        sequence: u64,
    },
    /// The record of the last state is lost: [`LastAdmitted::Lost`].
    #[error("what was admitted last is not known")]
    RecordLost,
    /// Its time is over.
    #[error("the desired state expired at {at}, now it is {now}")]
    Expired {
        /// The last instant at which it could be admitted.
        at: Timestamp,
        /// The node's time.
        now: Timestamp,
    },
    /// It has a time, and the node has no clock to check it against.
    #[error("the desired state is valid until {at}, and no clock was given to check it")]
    NoClock {
        /// The last instant at which it can be admitted.
        at: Timestamp,
    },
    /// It never ends, neither by itself nor with the key that signed it.
    #[error("neither the desired state nor the key that signed it has an end")]
    NoExpiry,
}

impl_error!(AdmissionError);

/// What a node admits desired states by. See the [module's documentation](self).
#[derive(Debug, Clone)]
pub struct Admission<'a> {
    node_id: &'a NodeId,
    trusted: &'a [TrustedKey],
    last: LastAdmitted,
    now: Option<Timestamp>,
    without_expiry: bool,
}

impl<'a> Admission<'a> {
    /// A node, whom it trusts to sign desired states, what it admitted last, and what time it is: `None`
    /// where the node has no clock that it trusts. Then nothing that has an end is admitted.
    #[must_use]
    pub const fn new(
        node_id: &'a NodeId,
        trusted: &'a [TrustedKey],
        last: LastAdmitted,
        now: Option<Timestamp>,
    ) -> Self {
        Self {
            node_id,
            trusted,
            last,
            now,
            without_expiry: false,
        }
    }

    /// Also admits a state that never ends: a bare [`DesiredState`] signed with a key that has no end. For
    /// nodes whose coordinator is still on 0.13.0 and whose keys cannot be given an end. A
    /// [`TimedState`] keeps its own.
    #[must_use]
    pub fn without_expiry(mut self) -> Self {
        self.without_expiry = true;
        self
    }

    /// Decides about one state. The record is not changed: take that of the
    /// [`AdmittedState`] for the next decision, and save it before the state is applied.
    ///
    /// # Errors
    /// Every [`AdmissionError`], the first that is found in the order of the
    /// [module's documentation](self).
    pub fn admit<P: AsRef<[u8]>>(
        &self,
        signed: &SignedPayload<P>,
    ) -> Result<AdmittedState, AdmissionError> {
        let verified = signed
            .verify(self.trusted, self.now)
            .map_err(AdmissionError::Signature)?;
        let (state, own_end) = parse(verified.payload())?;
        if state.node_id != *self.node_id {
            return Err(AdmissionError::OtherNode {
                theirs: state.node_id,
            });
        }
        let record = AdmissionRecord {
            sequence: state.sequence,
            state_hash: state_hash(&state)?,
        };
        let repeated = self.check_sequence(&record)?;
        let ends = [own_end, verified.not_after()];
        let expires_at = ends.into_iter().flatten().min();
        self.check_expiry(expires_at)?;
        Ok(AdmittedState {
            state,
            signer_id: verified.signer_id().clone(),
            expires_at,
            record,
            repeated,
        })
    }

    /// Whether it is the last one again.
    fn check_sequence(&self, record: &AdmissionRecord) -> Result<bool, AdmissionError> {
        let sequence = record.sequence;
        let last = match &self.last {
            LastAdmitted::Nothing => return Ok(false),
            LastAdmitted::Lost => return Err(AdmissionError::RecordLost),
            LastAdmitted::Record(last) => last.sequence,
            LastAdmitted::AtLeast(least) => *least,
        };
        if sequence < last {
            return Err(AdmissionError::Backwards { sequence, last });
        }
        match &self.last {
            LastAdmitted::Record(last) if last.sequence == sequence => {
                if last.state_hash == record.state_hash {
                    Ok(true)
                } else {
                    Err(AdmissionError::Reused { sequence })
                }
            }
            _ => Ok(false),
        }
    }

    fn check_expiry(&self, end: Option<Timestamp>) -> Result<(), AdmissionError> {
        match (end, self.now) {
            (None, _) if self.without_expiry => Ok(()),
            (None, _) => Err(AdmissionError::NoExpiry),
            (Some(at), None) => Err(AdmissionError::NoClock { at }),
            (Some(at), Some(now)) if now > at => Err(AdmissionError::Expired { at, now }),
            _ => Ok(()),
        }
    }
}

/// A desired state that a node may apply. Only [`Admission::admit`] makes one.
///
/// ```compile_fail,E0451
/// # use mvm_core::agent::{DesiredState, admission::AdmittedState};
/// fn by_hand(state: DesiredState, other: AdmittedState) -> AdmittedState {
///     AdmittedState { state, ..other }
/// }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct AdmittedState {
    state: DesiredState,
    signer_id: SignerId,
    expires_at: Option<Timestamp>,
    record: AdmissionRecord,
    repeated: bool,
}

impl AdmittedState {
    /// The state.
    #[must_use]
    pub const fn state(&self) -> &DesiredState {
        &self.state
    }

    /// The state, for keeping.
    #[must_use]
    pub fn into_state(self) -> DesiredState {
        self.state
    }

    /// Who signed it.
    #[must_use]
    pub const fn signer_id(&self) -> &SignerId {
        &self.signer_id
    }

    /// The last instant at which it would be admitted: its own or that of the key that signed it, whichever
    /// is earlier. What becomes of an applied state after that is the node's policy.
    #[must_use]
    pub const fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }

    /// What the node remembers of it.
    #[must_use]
    pub const fn record(&self) -> &AdmissionRecord {
        &self.record
    }

    /// Whether it is the very state that was admitted last.
    #[must_use]
    pub const fn is_repeated(&self) -> bool {
        self.repeated
    }
}

impl Deref for AdmittedState {
    type Target = DesiredState;

    fn deref(&self) -> &DesiredState {
        &self.state
    }
}

/// A desired state that nobody signed, checked as far as that goes. Only
/// [`accept_unsigned_for_development`] makes one.
#[derive(Debug, Clone, PartialEq)]
pub struct UnsignedState(DesiredState);

impl UnsignedState {
    /// The state.
    #[must_use]
    pub const fn state(&self) -> &DesiredState {
        &self.0
    }

    /// The state, for keeping.
    #[must_use]
    pub fn into_state(self) -> DesiredState {
        self.0
    }
}

/// Takes a state that nobody signed, as `AgentRequest::Reconcile` brings it, on a node that is configured
/// for development. Its values, its rules and its node are checked. Its sequence is not: whoever can send
/// an unsigned state can give it any.
///
/// # Errors
/// [`AdmissionError::NewerSchema`], [`AdmissionError::Invalid`], [`AdmissionError::OtherNode`].
pub fn accept_unsigned_for_development(
    state: DesiredState,
    node_id: &NodeId,
) -> Result<UnsignedState, AdmissionError> {
    let (found, known) = (state.schema_version, DESIRED_STATE_SCHEMA);
    if found > known {
        let found = u64::from(found);
        return Err(AdmissionError::NewerSchema { found, known });
    }
    state.validate().map_err(AdmissionError::Invalid)?;
    if state.node_id != *node_id {
        return Err(AdmissionError::OtherNode {
            theirs: state.node_id,
        });
    }
    Ok(UnsignedState(state))
}

/// The state of a payload, and its own end.
fn parse(payload: &[u8]) -> Result<(DesiredState, Option<Timestamp>), AdmissionError> {
    let read = if is_timed(payload) {
        TimedState::from_json(payload).map(|timed| (timed.desired_state, Some(timed.expires_at)))
    } else {
        DesiredState::from_json(payload).map(|state| (state, None))
    };
    // A newer schema may have other members, and then its version is what matters.
    read.map_err(|invalid| match newer_schema(payload) {
        Some(found) => AdmissionError::NewerSchema {
            found,
            known: DESIRED_STATE_SCHEMA,
        },
        None => AdmissionError::Invalid(invalid),
    })
}

/// Which of the two payloads it is. They have no member in common and refuse what they do not know, so the
/// first one tells.
fn is_timed(payload: &[u8]) -> bool {
    struct First<'f>(&'f mut bool);

    impl<'de> Visitor<'de> for First<'_> {
        type Value = ();

        fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
            let name = map.next_key::<Text<'de>>()?.unwrap_or_default();
            *self.0 = matches!(&*name, "expires_at" | "desired_state");
            Ok(())
        }
    }

    let mut timed = false;
    let mut deserializer = serde_json::Deserializer::from_slice(payload);
    // It ends behind the first name, which is an error for the parser.
    let _ = serde::Deserializer::deserialize_map(&mut deserializer, First(&mut timed));
    timed
}

/// The version of a state, if it is newer than what is known; whatever else the payload has.
fn newer_schema(payload: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct State {
        schema_version: Option<u64>,
        desired_state: Option<Inner>,
    }

    #[derive(Deserialize)]
    struct Inner {
        schema_version: u64,
    }

    let state: State = serde_json::from_slice(payload).ok()?;
    let found = state
        .desired_state
        .map(|inner| inner.schema_version)
        .or(state.schema_version)?;
    (found > u64::from(DESIRED_STATE_SCHEMA)).then_some(found)
}

/// The hash of a state in [`AdmissionRecord`].
fn state_hash(state: &DesiredState) -> Result<HashText, AdmissionError> {
    // A state that was read can be written, and a hash in hexadecimal is a `HashText`; should that ever
    // not hold, nothing is admitted.
    let unwritable = |words: String| AdmissionError::Invalid(Invalid::unwritable(words));
    let json = serde_json::to_vec(state).map_err(|error| unwritable(error.to_string()))?;
    let mut text = String::new();
    for byte in hash(&[b"mvm-core/admitted-state\0", &json]) {
        // Writing to a `String` does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    HashText::new(&text).map_err(|error| unwritable(error.to_string()))
}
