//! The rules of the protocol that the model can switch off, to show that it would notice.
//!
//! In every build but this crate's own tests a rule is always on, and asking costs nothing.

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A rule whose absence lets an attack through.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) enum Rule {
            $($(#[$doc])* $name,)*
        }

        #[cfg(test)]
        impl Rule {
            /// Every rule.
            pub(crate) const ALL: &[Self] = &[$(Self::$name),*];
        }
    };
}

rules! {
    /// Varints are minimal.
    CanonicalEncoding,
    /// Public keys are canonical and not of small order.
    CanonicalKeys,
    /// A host accepts only the guest key provisioned for the instance it names.
    GuestKeyOfInstance,
    /// A guest accepts only a host key it was provisioned with.
    TrustedHost,
    /// A guest believes only a host that signed this handshake.
    HostProof,
    /// A host believes only a guest that signed this handshake, and signs nothing before.
    GuestProof,
    /// What both sign covers the host's hello.
    SignedHostHello,
    /// ... and the guest's.
    SignedGuestHello,
    /// A guest answers only for the service that was asked for.
    Service,
    /// A bound guest serves only its instance.
    Instance,
    /// A bound guest refuses generations below its floor.
    FloorAtHello,
    /// ... and looks again when the handshake completes.
    FloorAtFinish,
    /// Completing a handshake ends what began earlier on the same service.
    SupersedeEarlier,
    /// A host that begins another handshake gives up the one before.
    GiveUpEarlier,
    /// A key that was removed ends its sessions and handshakes.
    RemovedKey,
    /// `seen` is checked by the host.
    Seen,
    /// A changed mark ends a session, and a handshake.
    Mark,
    /// ... also where it changes while a frame is sealed.
    MarkAfterSeal,
    /// Nonces cover the mark, so that copied entropy does not repeat them.
    MarkInNonce,
    /// The frame's signature covers its sequence number.
    SignedSequence,
    /// The sequence number is the one that is expected.
    ExpectedSequence,
    /// The frame's signature covers its payload.
    SignedPayload,
    /// The frame's signature covers its direction.
    SignedDirection,
    /// The frame's signature covers its kind.
    SignedKind,
    /// The frame's signature covers the session's transcript.
    SignedTranscript,
    /// A stream that ends without a verified close is an error.
    AuthenticatedEnd,
    /// Nothing is sent or accepted after a close.
    NothingAfterClose,
    /// Nothing is accepted after an error.
    FailClosed,
    /// `SleepPrep` ends every session.
    CloseBeforeSnapshot,
}

#[cfg(not(test))]
pub(crate) use always::on;
#[cfg(test)]
pub(crate) use switched::{on, without};

#[cfg(not(test))]
mod always {
    use super::Rule;

    #[inline(always)]
    pub(crate) const fn on(_rule: Rule) -> bool {
        true
    }
}

#[cfg(test)]
mod switched {
    use super::Rule;
    use core::cell::Cell;

    std::thread_local! {
        static OFF: Cell<&'static [Rule]> = const { Cell::new(&[]) };
    }

    pub(crate) fn on(rule: Rule) -> bool {
        !OFF.get().contains(&rule)
    }

    /// Runs `body` on this thread with some rules switched off.
    pub(crate) fn without<T>(rules: &'static [Rule], body: impl FnOnce() -> T) -> T {
        let before = OFF.replace(rules);
        let result = body();
        OFF.set(before);
        result
    }
}
