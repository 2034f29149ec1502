//! The guest's side of handshakes.

use core::marker::PhantomData;

use ed25519_dalek::VerifyingKey;
use zeroize::Zeroize;

use crate::limits::HANDSHAKE_BODY_MAX;
use crate::naming::InstanceId;
use crate::signing::{Signature, hash, verify_strict};
use crate::wire::codec::{Bytes, DecodeError};

use super::GuestKey;
use super::channel::{Agreed, Endpoint, Session, Standing, private};
use super::environment::{Entropy, Environment};
use super::error::{Ended, HandshakeError};
use super::handshake::{self, Attempt, LABEL_GUEST_NONCE};
use super::ledger::Ledger;
use super::message::{self, GuestHello, HostHello, Refusal, RefusalCode, SUITE_SIGNED, VERSION};
use super::trust::TrustedHosts;
use crate::rules::{Rule, on};

/// To which instance a guest belongs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(
    clippy::exhaustive_enums,
    reason = "the protocol knows these two and no third"
)]
pub enum Binding {
    /// None yet: the first handshake that completes binds it.
    Unbound,
    /// One instance, and the generation below which every host is refused.
    Bound {
        /// The instance.
        instance: InstanceId,
        /// The highest generation a completed handshake had.
        floor: u64,
    },
}

/// What a guest offers in a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct GuestOptions<'a> {
    /// The service that listens where the hello arrived, by convention its vsock port's low 16 bits
    /// or any number host and guest agree on.
    pub service: u16,
    /// What this guest can do, as bits; see [`guest::Capabilities`](crate::guest::Capabilities).
    pub capabilities: u32,
    /// Extensions of later versions and suites, at most
    /// [`EXTENSIONS_MAX`](crate::limits::EXTENSIONS_MAX) bytes.
    pub extensions: &'a [u8],
    /// How long the session may live once the handshake has completed, in milliseconds.
    pub lifetime_ms: u64,
}

/// The guest's state across handshakes and sessions: whom it trusts, to whom it belongs, and which
/// of its sessions still count.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone, PartialEq, Eq, Hash))]
pub struct GuestEndpoint {
    trust: TrustedHosts,
    binding: Binding,
    ledger: Ledger,
}

/// A session on the guest's side.
pub type GuestSession<'k> = Session<'k, GuestEndpoint>;

impl GuestEndpoint {
    /// A guest that belongs to no instance yet.
    #[must_use]
    pub const fn new(trust: TrustedHosts) -> Self {
        Self {
            trust,
            binding: Binding::Unbound,
            ledger: Ledger::new(),
        }
    }

    /// A guest that was told at boot to which instance it belongs, and from which generation on.
    #[must_use]
    pub const fn bound(trust: TrustedHosts, instance: InstanceId, floor: u64) -> Self {
        Self {
            trust,
            binding: Binding::Bound { instance, floor },
            ledger: Ledger::new(),
        }
    }

    /// To which instance the guest belongs.
    #[must_use]
    pub const fn binding(&self) -> &Binding {
        &self.binding
    }

    /// The trusted host keys; removing one ends its sessions.
    pub fn trust_mut(&mut self) -> &mut TrustedHosts {
        &mut self.trust
    }

    /// The trusted host keys.
    #[must_use]
    pub const fn trust(&self) -> &TrustedHosts {
        &self.trust
    }

    /// The floor: 0 while unbound.
    fn seen(&self) -> u64 {
        match self.binding {
            Binding::Unbound => 0,
            Binding::Bound { floor, .. } => floor,
        }
    }

    fn check_binding(
        &self,
        instance: &InstanceId,
        generation: u64,
        floor: Rule,
    ) -> Result<(), HandshakeError> {
        let seen = self.seen();
        if let Binding::Bound { instance: own, .. } = &self.binding
            && on(Rule::Instance)
            && own != instance
        {
            return Err(HandshakeError::WrongInstance);
        }
        // Generations start at 1, so that a floor of 0 always means "none seen".
        if on(floor) && (generation < seen || generation == 0) {
            return Err(HandshakeError::StaleGeneration {
                offered: generation,
                seen,
            });
        }
        Ok(())
    }

    /// Reads a `HostHello` (the body of a frame, without its length) and checks everything that can
    /// be checked before a signature is made.
    ///
    /// # Errors
    /// In this order: [`TooLong`](HandshakeError::TooLong),
    /// [`VersionMismatch`](HandshakeError::VersionMismatch), [`Malformed`](HandshakeError::Malformed),
    /// [`WrongService`](HandshakeError::WrongService), [`NoCommonSuite`](HandshakeError::NoCommonSuite),
    /// [`UntrustedHost`](HandshakeError::UntrustedHost), [`WrongInstance`](HandshakeError::WrongInstance),
    /// [`StaleGeneration`](HandshakeError::StaleGeneration). [`refusal`] makes of it what may be told
    /// the peer.
    // Not inlined: a large value that is given is otherwise moved field by field, hundreds of bytes of code.
    #[inline(never)]
    pub fn receive<'k, 'b>(
        &mut self,
        key: &'k GuestKey,
        options: GuestOptions<'b>,
        env: &dyn Environment,
        body: &'b [u8],
    ) -> Result<GuestOffer<'k, 'b>, HandshakeError> {
        if body.len() > HANDSHAKE_BODY_MAX {
            return Err(HandshakeError::TooLong {
                len: body.len(),
                max: HANDSHAKE_BODY_MAX,
            });
        }
        let [min, max, ..] = *body else {
            return Err(DecodeError::UnexpectedEnd { len: body.len() }.into());
        };
        if min > VERSION || max < VERSION {
            return Err(HandshakeError::VersionMismatch { min, max });
        }
        let hello = HostHello::read(body)?;
        message::check_extensions(hello.extensions.0)?;
        if on(Rule::Service) && hello.service != options.service {
            return Err(HandshakeError::WrongService {
                offered: hello.service,
                served: options.service,
            });
        }
        if hello.suites & SUITE_SIGNED == 0 {
            return Err(HandshakeError::NoCommonSuite {
                offered: hello.suites,
            });
        }
        // Trust first: a stranger learns nothing of the instance and its generation.
        if !self.trust.trusts(&hello.host_key, hello.generation) {
            return Err(HandshakeError::UntrustedHost);
        }
        self.check_binding(&hello.instance, hello.generation, Rule::FloorAtHello)?;
        message::check_extensions(options.extensions)?;
        let attempt = Attempt {
            ticket: self.ledger.begin(options.service),
            mark: env.mark(),
            began: env.monotonic_millis(),
        };
        Ok(GuestOffer {
            key,
            options,
            attempt,
            hello,
            body,
        })
    }

    /// Ends every session and every pending handshake, as is needed before a snapshot is taken.
    /// `session` proves that a trusted host asked for it; it ends too. With `unbind` the guest
    /// belongs to no instance afterwards: that is for a snapshot that will be cloned.
    ///
    /// # Errors
    /// Every [`Ended`]: a session that no longer counts proves nothing, and nothing has changed.
    pub fn prepare_sleep(
        &mut self,
        session: GuestSession<'_>,
        env: &dyn Environment,
        unbind: bool,
    ) -> Result<(), Ended> {
        session.check(self, env)?;
        if on(Rule::CloseBeforeSnapshot) {
            self.ledger.end_all();
        }
        if unbind {
            self.binding = Binding::Unbound;
        }
        Ok(())
    }

    /// Ends the session and every pending handshake of one service, whose place another service can
    /// take.
    pub fn end_service(&mut self, service: u16) {
        self.ledger.end_service(service);
    }

    /// Ends every session and every pending handshake, for reasons of the guest's own.
    pub fn end_all(&mut self) {
        self.ledger.end_all();
    }

    fn check_attempt(
        &mut self,
        attempt: &Attempt,
        env: &dyn Environment,
    ) -> Result<(), HandshakeError> {
        attempt.check(&self.ledger, env)
    }
}

impl private::Admit for GuestEndpoint {
    fn admits(&self, standing: &Standing<'_>, _env: &dyn Environment) -> Result<(), Ended> {
        if !self.ledger.is_live(standing.service, standing.ticket) {
            return Err(Ended::Superseded);
        }
        match &self.binding {
            Binding::Bound { instance, floor }
                if instance == standing.instance
                    && (*floor == standing.generation || !on(Rule::FloorAtFinish)) => {}
            _ => return Err(Ended::StaleGeneration),
        }
        if on(Rule::RemovedKey) && !self.trust.trusts(standing.peer, standing.generation) {
            return Err(Ended::Untrusted);
        }
        Ok(())
    }

    fn confirm(&mut self) {}
}

impl Endpoint for GuestEndpoint {
    type Own = crate::signing::Guest;
    type Peer = crate::signing::Host;
    const SENDS: u8 = b'G';
    const RECEIVES: u8 = b'H';
}

/// What a guest that will not go on may tell the host before it closes the stream. It carries
/// nothing of the guest's state.
#[must_use]
pub const fn refusal(error: &HandshakeError) -> Refusal {
    Refusal::new(match error {
        HandshakeError::VersionMismatch { .. } => RefusalCode::VERSION,
        HandshakeError::WrongService { .. } => RefusalCode::SERVICE,
        HandshakeError::NoCommonSuite { .. } => RefusalCode::SUITE,
        HandshakeError::UntrustedHost => RefusalCode::HOST,
        HandshakeError::WrongInstance => RefusalCode::INSTANCE,
        HandshakeError::StaleGeneration { .. } => RefusalCode::GENERATION,
        HandshakeError::TooManyServices => RefusalCode::BUSY,
        _ => RefusalCode::MALFORMED,
    })
}

/// A hello that passed every check; the guest has signed nothing yet. It borrows the hello's bytes,
/// which go into the answer.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
#[must_use]
pub struct GuestOffer<'k, 'b> {
    key: &'k GuestKey,
    options: GuestOptions<'b>,
    attempt: Attempt,
    hello: HostHello<'b>,
    body: &'b [u8],
}

impl<'k> GuestOffer<'k, '_> {
    /// The host's offer of capabilities, as bits. Nobody has signed it yet.
    #[must_use]
    pub const fn capabilities(&self) -> u32 {
        self.hello.capabilities
    }

    /// The host's extensions. Nobody has signed them yet.
    #[must_use]
    pub const fn extensions(&self) -> &[u8] {
        self.hello.extensions.0
    }

    /// Writes the `GuestHello` into `out` (at most
    /// [`GUEST_HELLO_FRAME_MAX`](super::GUEST_HELLO_FRAME_MAX) bytes) and gives its length.
    ///
    /// `entropy` is to be drawn now, after the hello was read.
    ///
    /// # Errors
    /// [`Superseded`](HandshakeError::Superseded), [`Expired`](HandshakeError::Expired),
    /// [`IncarnationChanged`](HandshakeError::IncarnationChanged),
    /// [`BufferTooSmall`](HandshakeError::BufferTooSmall).
    // As above.
    #[inline(never)]
    pub fn answer(
        self,
        endpoint: &mut GuestEndpoint,
        entropy: Entropy,
        env: &dyn Environment,
        out: &mut [u8],
    ) -> Result<(GuestAwaitingFinish<'k>, usize), HandshakeError> {
        let ticket = self.attempt.ticket;
        let result = self.try_answer(endpoint, &entropy, env, out);
        if result.is_err() {
            endpoint.ledger.abandon(ticket);
            out.zeroize();
        }
        result
    }

    fn try_answer(
        self,
        endpoint: &mut GuestEndpoint,
        entropy: &Entropy,
        env: &dyn Environment,
        out: &mut [u8],
    ) -> Result<(GuestAwaitingFinish<'k>, usize), HandshakeError> {
        let Self {
            key,
            options,
            attempt,
            hello,
            body,
        } = self;
        endpoint.check_attempt(&attempt, env)?;
        let nonce = hash(&[
            LABEL_GUEST_NONCE,
            entropy.bytes(),
            &handshake::mark_bytes(attempt.mark),
            &handshake::length(body),
            body,
        ]);
        let answer = GuestHello {
            version: VERSION,
            suite: SUITE_SIGNED,
            guest_nonce: nonce,
            guest_key: *key.public().as_bytes(),
            seen: endpoint.seen(),
            capabilities: options.capabilities,
            extensions: Bytes(options.extensions),
        };
        // The signature covers the encoding without it, so that is made first, with its place left
        // empty behind it.
        let written = message::write_frame(out, |fields| {
            answer.write(fields);
            fields.put(&[0; Signature::LEN]);
        })?;
        let small = HandshakeError::BufferTooSmall { len: out.len() };
        let (head, place) = out
            .get_mut(4..written)
            .and_then(|body| body.split_last_chunk_mut::<64>())
            .ok_or(small)?;
        let t1 = handshake::t1(body, head);
        let signature = key.sign_raw(&handshake::guest_message(&t1));
        *place = *signature.as_bytes();
        let waiting = GuestAwaitingFinish {
            key,
            attempt,
            t1,
            signature,
            session_id: hello.session_id,
            host_key: hello.host_key,
            instance: hello.instance,
            generation: hello.generation,
            capabilities: hello.capabilities & options.capabilities,
            service: options.service,
            lifetime_ms: options.lifetime_ms,
        };
        Ok((waiting, written))
    }
}

/// The guest has answered and waits for the host's proof. It sends nothing before that came.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone, Hash))]
#[must_use]
pub struct GuestAwaitingFinish<'k> {
    key: &'k GuestKey,
    attempt: Attempt,
    t1: [u8; 32],
    signature: Signature,
    session_id: [u8; 16],
    host_key: [u8; 32],
    instance: InstanceId,
    generation: u64,
    capabilities: u32,
    service: u16,
    lifetime_ms: u64,
}

impl<'k> GuestAwaitingFinish<'k> {
    /// Checks the `HostFinish` and completes the handshake: the guest is bound, its floor is this
    /// generation, and every session and handshake of this service that began earlier is dead.
    ///
    /// # Errors
    /// [`Superseded`](HandshakeError::Superseded), [`Expired`](HandshakeError::Expired),
    /// [`Malformed`](HandshakeError::Malformed), [`BadSignature`](HandshakeError::BadSignature),
    /// [`UntrustedHost`](HandshakeError::UntrustedHost), [`WrongInstance`](HandshakeError::WrongInstance),
    /// [`StaleGeneration`](HandshakeError::StaleGeneration),
    /// [`IncarnationChanged`](HandshakeError::IncarnationChanged),
    /// [`TooManyServices`](HandshakeError::TooManyServices). The endpoint has changed in nothing then
    /// but that this handshake is over.
    pub fn finish(
        self,
        endpoint: &mut GuestEndpoint,
        env: &dyn Environment,
        body: &[u8],
    ) -> Result<GuestSession<'k>, HandshakeError> {
        let ticket = self.attempt.ticket;
        let result = match self.prove(endpoint, env, body) {
            Ok((peer, finish)) => self.establish(endpoint, env, peer, &finish),
            Err(error) => Err(error),
        };
        if result.is_err() {
            endpoint.ledger.abandon(ticket);
        }
        result
    }

    /// The host's proof. Not inlined, nor is what follows it: verifying takes most of the stack that
    /// a guest needs, and the session that is made afterwards must not come on top.
    #[inline(never)]
    fn prove(
        &self,
        endpoint: &GuestEndpoint,
        env: &dyn Environment,
        body: &[u8],
    ) -> Result<(VerifyingKey, Signature), HandshakeError> {
        self.attempt.check_place(&endpoint.ledger, env)?;
        let finish: [u8; 64] = match body.first_chunk::<64>() {
            Some(bytes) if body.len() == Signature::LEN => *bytes,
            Some(_) => {
                let count = body.len().saturating_sub(Signature::LEN);
                return Err(DecodeError::TrailingBytes { count }.into());
            }
            None => return Err(DecodeError::UnexpectedEnd { len: body.len() }.into()),
        };
        let finish = Signature::from_bytes(finish);
        let peer =
            crate::signing::expand(&self.host_key).map_err(|_| HandshakeError::UntrustedHost)?;
        let proof = handshake::host_message(&self.t1, &self.signature);
        if on(Rule::HostProof) && verify_strict(&peer, &proof, &finish).is_err() {
            return Err(HandshakeError::BadSignature);
        }
        Ok((peer, finish))
    }

    #[inline(never)]
    fn establish(
        self,
        endpoint: &mut GuestEndpoint,
        env: &dyn Environment,
        peer: VerifyingKey,
        finish: &Signature,
    ) -> Result<GuestSession<'k>, HandshakeError> {
        // Time has passed since the hello: trust, binding and floor may have moved.
        if on(Rule::RemovedKey) && !endpoint.trust.trusts(&self.host_key, self.generation) {
            return Err(HandshakeError::UntrustedHost);
        }
        endpoint.check_binding(&self.instance, self.generation, Rule::FloorAtFinish)?;
        self.attempt.check_mark(env)?;
        if !endpoint.ledger.complete(self.service, self.attempt.ticket) {
            return Err(HandshakeError::TooManyServices);
        }
        endpoint.binding = Binding::Bound {
            instance: self.instance.clone(),
            floor: self.generation,
        };
        Ok(Session::new(Agreed {
            key: self.key,
            peer,
            transcript: handshake::t2(&self.t1, &self.signature, finish),
            session_id: self.session_id,
            instance: self.instance,
            service: self.service,
            ticket: self.attempt.ticket,
            generation: self.generation,
            capabilities: self.capabilities,
            mark: self.attempt.mark,
            began: env.monotonic_millis(),
            lifetime: self.lifetime_ms,
            endpoint: PhantomData,
        }))
    }
}
