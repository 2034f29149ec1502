//! The host's side of handshakes.

use core::marker::PhantomData;

use ed25519_dalek::VerifyingKey;
use thiserror_no_std::Error;
use zeroize::Zeroize;

use crate::limits::HANDSHAKE_BODY_MAX;
use crate::naming::InstanceId;
use crate::signing::{Signature, hash, verify_strict};
use crate::time::Timestamp;
use crate::wire::codec::{Bytes, DecodeError};

use super::channel::{Agreed, Endpoint, Session, Standing, private};
use super::environment::{Entropy, Environment};
use super::error::{Ended, HandshakeError};
use super::handshake::{self, Attempt, LABEL_HOST_NONCE, LABEL_SESSION_ID};
use super::ledger::Ledger;
use super::message::{self, GuestHello, HOST_HELLO_MAX, HostHello, Refusal, SUITE_SIGNED, VERSION};
use super::trust::GuestTrust;
use super::{GuestPublicKey, HostKey};
use crate::rules::{Rule, on};

/// What a host asks for in a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct HostOptions<'a> {
    /// The service asked for; the guest refuses any other than the one that listens.
    pub service: u16,
    /// What this host can do, as bits; see [`guest::Capabilities`](crate::guest::Capabilities).
    pub capabilities: u32,
    /// Extensions of later versions and suites, at most
    /// [`EXTENSIONS_MAX`](crate::limits::EXTENSIONS_MAX) bytes.
    pub extensions: &'a [u8],
    /// How long the session may live once the handshake has completed, in milliseconds.
    pub lifetime_ms: u64,
}

/// A generation that cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum GenerationError {
    /// Generations start at 1.
    #[error("generation 0: generations start at 1")]
    Zero,
    /// A generation only goes up.
    #[error("generation {offered} is not above generation {current}")]
    NotRaised {
        /// The generation asked for.
        offered: u64,
        /// The one in force.
        current: u64,
    },
}

impl_error!(GenerationError);

/// The host's state towards one instance: its generation, the guest key it expects, and which of
/// its sessions still count.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone, PartialEq, Eq, Hash))]
pub struct HostEndpoint {
    instance: InstanceId,
    generation: u64,
    confirmed: bool,
    trust: GuestTrust,
    ledger: Ledger,
}

/// A session on the host's side.
pub type HostSession<'k> = Session<'k, HostEndpoint>;

impl HostEndpoint {
    /// A host towards `instance` in its incarnation `generation`, which was raised for this boot or
    /// restore and is stored durably *before* this call.
    ///
    /// # Errors
    /// [`GenerationError::Zero`].
    pub fn new(
        instance: InstanceId,
        generation: u64,
        trust: GuestTrust,
    ) -> Result<Self, GenerationError> {
        if generation == 0 {
            return Err(GenerationError::Zero);
        }
        Ok(Self {
            instance,
            generation,
            confirmed: false,
            trust,
            ledger: Ledger::new(),
        })
    }

    /// A host program that was restarted while the instance went on: `confirmed` is what
    /// [`is_confirmed`](Self::is_confirmed) said, from the store.
    ///
    /// # Errors
    /// [`GenerationError::Zero`].
    pub fn resume(
        instance: InstanceId,
        generation: u64,
        confirmed: bool,
        trust: GuestTrust,
    ) -> Result<Self, GenerationError> {
        let mut endpoint = Self::new(instance, generation, trust)?;
        endpoint.confirmed = confirmed;
        Ok(endpoint)
    }

    /// The generation to take where the store may have been lost: above what is stored, and never
    /// below the seconds since 1970, so that it is above what a lost store held.
    ///
    /// ```
    /// use mvm_core::session::HostEndpoint;
    /// use mvm_core::time::Timestamp;
    /// let now = Timestamp::new(1_800_000_000, 0).unwrap();
    /// assert_eq!(HostEndpoint::next_generation(None, now), 1_800_000_000);
    /// assert_eq!(HostEndpoint::next_generation(Some(1_900_000_000), now), 1_900_000_001);
    /// ```
    #[must_use]
    pub fn next_generation(stored: Option<u64>, now: Timestamp) -> u64 {
        let above = stored.unwrap_or(0).saturating_add(1);
        above.max(u64::try_from(now.seconds()).unwrap_or(0))
    }

    /// The instance.
    #[must_use]
    pub const fn instance(&self) -> &InstanceId {
        &self.instance
    }

    /// The generation of the instance.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether a guest was heard in a session of this generation. To be stored with the generation:
    /// from then on a guest that has not seen it was restored behind the host's back.
    #[must_use]
    pub const fn is_confirmed(&self) -> bool {
        self.confirmed
    }

    /// The guest keys that are accepted. Removing one ends its sessions.
    pub fn trust_mut(&mut self) -> &mut GuestTrust {
        &mut self.trust
    }

    /// The guest keys that are accepted.
    #[must_use]
    pub const fn trust(&self) -> &GuestTrust {
        &self.trust
    }

    /// The instance was booted or restored: a new incarnation, stored durably before this call.
    /// Every session and handshake of the old one is dead.
    ///
    /// # Errors
    /// [`GenerationError::NotRaised`]; nothing has changed then.
    pub fn raise(&mut self, generation: u64) -> Result<(), GenerationError> {
        if generation <= self.generation {
            return Err(GenerationError::NotRaised {
                offered: generation,
                current: self.generation,
            });
        }
        self.generation = generation;
        self.confirmed = false;
        self.ledger.end_all();
        Ok(())
    }

    /// Ends the session and every pending handshake of one service, whose place another service can
    /// take.
    pub fn end_service(&mut self, service: u16) {
        self.ledger.end_service(service);
    }

    /// Ends every session and handshake on this side.
    pub fn end_all(&mut self) {
        self.ledger.end_all();
    }

    /// Begins a handshake: writes the `HostHello` into `out` (at most
    /// [`HOST_HELLO_FRAME_MAX`](super::HOST_HELLO_FRAME_MAX) bytes) and gives its length. An attempt
    /// that was pending is given up.
    ///
    /// # Errors
    /// [`Extensions`](HandshakeError::Extensions), [`BufferTooSmall`](HandshakeError::BufferTooSmall).
    pub fn begin<'k>(
        &mut self,
        key: &'k HostKey,
        options: HostOptions<'_>,
        entropy: Entropy,
        env: &dyn Environment,
        out: &mut [u8],
    ) -> Result<(HostAwaitingGuest<'k>, usize), HandshakeError> {
        message::check_extensions(options.extensions)?;
        let mark = env.mark();
        let mut session_id = [0; 16];
        for (to, from) in session_id
            .iter_mut()
            .zip(hash(&[LABEL_SESSION_ID, entropy.bytes()]))
        {
            *to = from;
        }
        let host_nonce = hash(&[
            LABEL_HOST_NONCE,
            entropy.bytes(),
            &handshake::mark_bytes(mark),
            &session_id,
            &self.generation.to_be_bytes(),
        ]);
        let hello = HostHello {
            min_version: VERSION,
            max_version: VERSION,
            suites: SUITE_SIGNED,
            service: options.service,
            session_id,
            host_nonce,
            host_key: *key.public().as_bytes(),
            instance: self.instance.clone(),
            generation: self.generation,
            capabilities: options.capabilities,
            extensions: Bytes(options.extensions),
        };
        let written = message::write_frame(out, |fields| hello.write(fields))?;
        let mut sent = heapless::Vec::new();
        let body = out.get(4..written).unwrap_or(&[]);
        sent.extend_from_slice(body)
            .map_err(|_| HandshakeError::BufferTooSmall {
                len: HOST_HELLO_MAX,
            })?;
        if on(Rule::GiveUpEarlier) {
            self.ledger.abandon_all();
        }
        let waiting = HostAwaitingGuest {
            key,
            attempt: Attempt {
                ticket: self.ledger.begin(options.service),
                mark,
                began: env.monotonic_millis(),
            },
            hello: sent,
            session_id,
            generation: self.generation,
            service: options.service,
            capabilities: options.capabilities,
            lifetime_ms: options.lifetime_ms,
        };
        Ok((waiting, written))
    }
}

impl private::Admit for HostEndpoint {
    fn admits(&self, standing: &Standing<'_>, env: &dyn Environment) -> Result<(), Ended> {
        if !self.ledger.is_live(standing.service, standing.ticket) {
            return Err(Ended::Superseded);
        }
        if self.generation != standing.generation || self.instance != *standing.instance {
            return Err(Ended::StaleGeneration);
        }
        if on(Rule::RemovedKey) && !self.trust.trusts(standing.peer, env.wall_clock()) {
            return Err(Ended::Untrusted);
        }
        Ok(())
    }

    fn confirm(&mut self) {
        self.confirmed = true;
    }
}

impl Endpoint for HostEndpoint {
    type Own = crate::signing::Host;
    type Peer = crate::signing::Guest;
    const SENDS: u8 = b'H';
    const RECEIVES: u8 = b'G';
}

/// The host has sent its hello and waits for the guest's.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone, Hash))]
#[must_use]
pub struct HostAwaitingGuest<'k> {
    key: &'k HostKey,
    attempt: Attempt,
    hello: heapless::Vec<u8, HOST_HELLO_MAX, u16>,
    session_id: [u8; 16],
    generation: u64,
    service: u16,
    capabilities: u32,
    lifetime_ms: u64,
}

/// What a `GuestHello` led to.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone, Hash))]
#[allow(clippy::exhaustive_enums, reason = "a key is known or it is not")]
#[allow(
    clippy::large_enum_variant,
    reason = "without a heap there is nothing to box it in"
)]
pub enum Received<'k> {
    /// The guest is who it was provisioned to be.
    Verified(HostVerified<'k>),
    /// The guest proved a key, but no key was known for the instance: it has to be pinned first.
    FirstUse(HostUnpinned<'k>),
}

impl<'k> HostAwaitingGuest<'k> {
    /// Checks a `GuestHello` (the body of a frame, without its length). The host has signed nothing
    /// before this succeeded.
    ///
    /// [`IncarnationChanged`](HandshakeError::IncarnationChanged) can be a false alarm where two
    /// streams to one guest are opened at once: it may have answered the second before it read the
    /// finish of the first. Try again before the generation is raised.
    ///
    /// # Errors
    /// [`Superseded`](HandshakeError::Superseded), [`Expired`](HandshakeError::Expired),
    /// [`IncarnationChanged`](HandshakeError::IncarnationChanged), [`TooLong`](HandshakeError::TooLong),
    /// [`Refused`](HandshakeError::Refused), [`Malformed`](HandshakeError::Malformed),
    /// [`VersionMismatch`](HandshakeError::VersionMismatch), [`NoCommonSuite`](HandshakeError::NoCommonSuite),
    /// [`UntrustedGuest`](HandshakeError::UntrustedGuest), [`BadSignature`](HandshakeError::BadSignature),
    /// [`StaleGeneration`](HandshakeError::StaleGeneration).
    pub fn receive(
        self,
        endpoint: &mut HostEndpoint,
        env: &dyn Environment,
        body: &[u8],
    ) -> Result<Received<'k>, HandshakeError> {
        let ticket = self.attempt.ticket;
        let result = self.try_receive(endpoint, env, body);
        if result.is_err() {
            endpoint.ledger.abandon(ticket);
        }
        result
    }

    fn try_receive(
        self,
        endpoint: &HostEndpoint,
        env: &dyn Environment,
        body: &[u8],
    ) -> Result<Received<'k>, HandshakeError> {
        self.attempt.check(&endpoint.ledger, env)?;
        if body.len() > HANDSHAKE_BODY_MAX {
            return Err(HandshakeError::TooLong {
                len: body.len(),
                max: HANDSHAKE_BODY_MAX,
            });
        }
        if let Some(refusal) = Refusal::parse(body) {
            return Err(HandshakeError::Refused(refusal?));
        }
        match body.first() {
            Some(&VERSION) => {}
            Some(&other) => {
                return Err(HandshakeError::VersionMismatch {
                    min: other,
                    max: other,
                });
            }
            None => return Err(DecodeError::UnexpectedEnd { len: 0 }.into()),
        }
        let (head, signature) = message::split_signature(body)?;
        let hello = GuestHello::read(head)?;
        message::check_extensions(hello.extensions.0)?;
        if hello.suite != SUITE_SIGNED {
            return Err(HandshakeError::NoCommonSuite {
                offered: hello.suite,
            });
        }
        let first_use = matches!(endpoint.trust, GuestTrust::FirstUse);
        if !first_use && !endpoint.trust.trusts(&hello.guest_key, env.wall_clock()) {
            return Err(HandshakeError::UntrustedGuest);
        }
        let guest =
            crate::signing::expand(&hello.guest_key).map_err(|_| HandshakeError::UntrustedGuest)?;
        let t1 = handshake::t1(&self.hello, head);
        if on(Rule::GuestProof)
            && verify_strict(&guest, &handshake::guest_message(&t1), &signature).is_err()
        {
            return Err(HandshakeError::BadSignature);
        }
        if on(Rule::Seen) {
            if hello.seen > self.generation {
                return Err(HandshakeError::StaleGeneration {
                    offered: self.generation,
                    seen: hello.seen,
                });
            }
            if endpoint.confirmed && hello.seen != self.generation {
                return Err(HandshakeError::IncarnationChanged);
            }
        }
        let verified = HostVerified {
            guest,
            t1,
            signature,
            capabilities: self.capabilities & hello.capabilities,
            key: self.key,
            attempt: self.attempt,
            session_id: self.session_id,
            generation: self.generation,
            service: self.service,
            lifetime_ms: self.lifetime_ms,
        };
        Ok(if first_use {
            Received::FirstUse(HostUnpinned { verified })
        } else {
            Received::Verified(verified)
        })
    }
}

/// The guest proved a key that nobody knew. It must be pinned before the host proves its own.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone, Hash))]
#[must_use]
pub struct HostUnpinned<'k> {
    verified: HostVerified<'k>,
}

impl<'k> HostUnpinned<'k> {
    /// The key that the guest proved.
    #[must_use]
    pub fn guest_key(&self) -> GuestPublicKey {
        GuestPublicKey::of(&self.verified.guest)
    }

    /// Pins the guest's key. `store` writes (instance, key) durably; only if that succeeds does the
    /// handshake go on, and every later one expects this key.
    ///
    /// # Errors
    /// What `store` gave; the handshake is over then. Where the handshake was given up, or another
    /// key was pinned in the meantime, nothing is stored and [`HostVerified::finish`] gives
    /// [`Superseded`](HandshakeError::Superseded) or
    /// [`UntrustedGuest`](HandshakeError::UntrustedGuest).
    pub fn pin<E>(
        self,
        endpoint: &mut HostEndpoint,
        store: impl FnOnce(&InstanceId, &GuestPublicKey) -> Result<(), E>,
    ) -> Result<HostVerified<'k>, E> {
        let key = self.guest_key();
        // An attempt that was given up leaves nothing behind; `finish` says that it was.
        let current = endpoint.ledger.is_pending(self.verified.attempt.ticket);
        if current && matches!(endpoint.trust, GuestTrust::FirstUse) {
            store(&endpoint.instance, &key)?;
            endpoint.trust = GuestTrust::pinned(key);
        }
        // `finish` asks the trust again, which by now is a list of keys.
        Ok(self.verified)
    }
}

/// The guest has proved itself; what is left is the host's own proof.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone, Hash))]
#[must_use]
pub struct HostVerified<'k> {
    key: &'k HostKey,
    attempt: Attempt,
    guest: VerifyingKey,
    t1: [u8; 32],
    signature: Signature,
    session_id: [u8; 16],
    generation: u64,
    service: u16,
    capabilities: u32,
    lifetime_ms: u64,
}

impl<'k> HostVerified<'k> {
    /// Writes the `HostFinish` into `out`
    /// ([`HOST_FINISH_FRAME_LEN`](super::HOST_FINISH_FRAME_LEN) bytes) and gives its length and the
    /// session. The guest is heard for the first time with the first frame that is opened.
    ///
    /// # Errors
    /// [`Superseded`](HandshakeError::Superseded), [`Expired`](HandshakeError::Expired),
    /// [`IncarnationChanged`](HandshakeError::IncarnationChanged),
    /// [`UntrustedGuest`](HandshakeError::UntrustedGuest),
    /// [`TooManyServices`](HandshakeError::TooManyServices),
    /// [`BufferTooSmall`](HandshakeError::BufferTooSmall).
    pub fn finish(
        self,
        endpoint: &mut HostEndpoint,
        env: &dyn Environment,
        out: &mut [u8],
    ) -> Result<(HostSession<'k>, usize), HandshakeError> {
        let ticket = self.attempt.ticket;
        let result = self.try_finish(endpoint, env, out);
        if result.is_err() {
            endpoint.ledger.abandon(ticket);
            out.zeroize();
        }
        result
    }

    fn try_finish(
        self,
        endpoint: &mut HostEndpoint,
        env: &dyn Environment,
        out: &mut [u8],
    ) -> Result<(HostSession<'k>, usize), HandshakeError> {
        self.attempt.check(&endpoint.ledger, env)?;
        if on(Rule::RemovedKey)
            && !endpoint
                .trust
                .trusts(self.guest.as_bytes(), env.wall_clock())
        {
            return Err(HandshakeError::UntrustedGuest);
        }
        let finish = self
            .key
            .sign_raw(&handshake::host_message(&self.t1, &self.signature));
        let written = message::write_frame(out, |fields| fields.put(finish.as_bytes()))?;
        self.attempt.check_mark(env)?;
        if !endpoint.ledger.complete(self.service, self.attempt.ticket) {
            return Err(HandshakeError::TooManyServices);
        }
        let session = Session::new(Agreed {
            key: self.key,
            peer: self.guest,
            transcript: handshake::t2(&self.t1, &self.signature, &finish),
            session_id: self.session_id,
            instance: endpoint.instance.clone(),
            service: self.service,
            ticket: self.attempt.ticket,
            generation: self.generation,
            capabilities: self.capabilities,
            mark: self.attempt.mark,
            began: env.monotonic_millis(),
            lifetime: self.lifetime_ms,
            endpoint: PhantomData,
        });
        Ok((session, written))
    }
}
