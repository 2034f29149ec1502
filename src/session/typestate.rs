//! What does not compile. Each example fails for the reason its error code names; the ones without
//! a code compile, so that the others fail for what they do and not for what they need.
//!
//! The examples start from these parts:
//!
//! ```
//! # use mvm_core::session::*;
//! # use mvm_core::naming::InstanceId;
//! fn whole(
//!     (host_key, guest_key): (&HostKey, &GuestKey),
//!     (host, guest): (&mut HostEndpoint, &mut GuestEndpoint),
//!     (asked, served): (HostOptions<'_>, GuestOptions<'_>),
//!     env: &dyn Environment,
//!     (hello, answer): (&[u8], &[u8]),
//!     out: &mut [u8],
//! ) -> Result<(), HandshakeError> {
//!     let (waiting, _) = host.begin(host_key, asked, Entropy::new([1; 32]), env, out)?;
//!     let offer = guest.receive(guest_key, served, env, hello)?;
//!     let (answered, _) = offer.answer(guest, Entropy::new([2; 32]), env, out)?;
//!     let Received::Verified(verified) = waiting.receive(host, env, answer)? else { return Ok(()) };
//!     let (mut at_host, _) = verified.finish(host, env, out)?;
//!     let mut at_guest = answered.finish(guest, env, answer)?;
//!     let _ = at_host.seal(host, env, b"ping", out);
//!     let _ = at_guest.open(guest, env, hello);
//!     Ok(())
//! }
//! ```
//!
//! # A host proves nothing before the guest was verified
//! ```compile_fail,E0599
//! # use mvm_core::session::*;
//! fn early(waiting: HostAwaitingGuest<'_>, host: &mut HostEndpoint, env: &dyn Environment, out: &mut [u8]) {
//!     let _ = waiting.finish(host, env, out);
//! }
//! ```
//!
//! # A host sends no frame before its finish
//! ```compile_fail,E0599
//! # use mvm_core::session::*;
//! fn early(verified: HostVerified<'_>, host: &HostEndpoint, env: &dyn Environment, out: &mut [u8]) {
//!     let _ = verified.seal(host, env, b"ping", out);
//! }
//! ```
//!
//! # A guest sends no frame before the host's finish
//! ```compile_fail,E0599
//! # use mvm_core::session::*;
//! fn early(waiting: GuestAwaitingFinish<'_>, guest: &GuestEndpoint, env: &dyn Environment, out: &mut [u8]) {
//!     let _ = waiting.seal(guest, env, b"ping", out);
//! }
//! ```
//!
//! # A guest opens no frame before the host's finish
//! ```compile_fail,E0599
//! # use mvm_core::session::*;
//! fn early(waiting: GuestAwaitingFinish<'_>, guest: &mut GuestEndpoint, env: &dyn Environment, body: &[u8]) {
//!     let _ = waiting.open(guest, env, body);
//! }
//! ```
//!
//! # A guest finishes no handshake that it has not answered
//! ```compile_fail,E0599
//! # use mvm_core::session::*;
//! fn early(offer: GuestOffer<'_, '_>, guest: &mut GuestEndpoint, env: &dyn Environment, body: &[u8]) {
//!     let _ = offer.finish(guest, env, body);
//! }
//! ```
//!
//! # A hello is answered once
//! ```
//! # use mvm_core::session::*;
//! fn once(offer: GuestOffer<'_, '_>, guest: &mut GuestEndpoint, env: &dyn Environment, out: &mut [u8]) {
//!     let _ = offer.answer(guest, Entropy::new([1; 32]), env, out);
//! }
//! ```
//! ```compile_fail,E0382
//! # use mvm_core::session::*;
//! fn twice(offer: GuestOffer<'_, '_>, guest: &mut GuestEndpoint, env: &dyn Environment, out: &mut [u8]) {
//!     let _ = offer.answer(guest, Entropy::new([1; 32]), env, out);
//!     let _ = offer.answer(guest, Entropy::new([2; 32]), env, out);
//! }
//! ```
//!
//! # A finish is tried once
//! ```
//! # use mvm_core::session::*;
//! fn once(waiting: GuestAwaitingFinish<'_>, guest: &mut GuestEndpoint, env: &dyn Environment, body: &[u8]) {
//!     let _ = waiting.finish(guest, env, body);
//! }
//! ```
//! ```compile_fail,E0382
//! # use mvm_core::session::*;
//! fn twice(waiting: GuestAwaitingFinish<'_>, guest: &mut GuestEndpoint, env: &dyn Environment, body: &[u8]) {
//!     let _ = waiting.finish(guest, env, body);
//!     let _ = waiting.finish(guest, env, body);
//! }
//! ```
//!
//! # A guest's hello is tried once
//! ```
//! # use mvm_core::session::*;
//! fn once(waiting: HostAwaitingGuest<'_>, host: &mut HostEndpoint, env: &dyn Environment, body: &[u8]) {
//!     let _ = waiting.receive(host, env, body);
//! }
//! ```
//! ```compile_fail,E0382
//! # use mvm_core::session::*;
//! fn twice(waiting: HostAwaitingGuest<'_>, host: &mut HostEndpoint, env: &dyn Environment, body: &[u8]) {
//!     let _ = waiting.receive(host, env, body);
//!     let _ = waiting.receive(host, env, body);
//! }
//! ```
//!
//! # Nothing of a handshake or a session is copied
//! ```compile_fail,E0277
//! # use mvm_core::session::*;
//! fn needs_clone<T: Clone>() {}
//! needs_clone::<GuestSession<'static>>();
//! ```
//! ```compile_fail,E0277
//! # use mvm_core::session::*;
//! fn needs_clone<T: Clone>() {}
//! needs_clone::<GuestAwaitingFinish<'static>>();
//! ```
//! ```compile_fail,E0277
//! # use mvm_core::session::*;
//! fn needs_clone<T: Clone>() {}
//! needs_clone::<HostVerified<'static>>();
//! ```
//! ```compile_fail,E0277
//! # use mvm_core::session::*;
//! fn needs_clone<T: Clone>() {}
//! needs_clone::<GuestEndpoint>();
//! ```
//! ```
//! # use mvm_core::session::*;
//! fn needs_clone<T: Clone>() {}
//! needs_clone::<GuestTrust>();
//! ```
//!
//! # Entropy and secret keys are used once and not copied
//! ```compile_fail,E0382
//! # use mvm_core::session::*;
//! fn twice(a: GuestOffer<'_, '_>, b: GuestOffer<'_, '_>, guest: &mut GuestEndpoint, env: &dyn Environment, out: &mut [u8]) {
//!     let entropy = Entropy::new([1; 32]);
//!     let _ = a.answer(guest, entropy, env, out);
//!     let _ = b.answer(guest, entropy, env, out);
//! }
//! ```
//! ```compile_fail,E0277
//! # use mvm_core::session::*;
//! fn needs_clone<T: Clone>() {}
//! needs_clone::<HostKey>();
//! ```
//!
//! # A session that asked for sleep is not used again
//! ```
//! # use mvm_core::session::*;
//! fn once(session: GuestSession<'_>, guest: &mut GuestEndpoint, env: &dyn Environment) {
//!     let _ = guest.prepare_sleep(session, env, true);
//! }
//! ```
//! ```compile_fail,E0382
//! # use mvm_core::session::*;
//! fn twice(mut session: GuestSession<'_>, guest: &mut GuestEndpoint, env: &dyn Environment, out: &mut [u8]) {
//!     let _ = guest.prepare_sleep(session, env, true);
//!     let _ = session.seal(guest, env, b"pong", out);
//! }
//! ```
//!
//! # Nothing but a guest's session unbinds a guest
//! ```compile_fail,E0308
//! # use mvm_core::session::*;
//! fn unbind(session: HostSession<'_>, guest: &mut GuestEndpoint, env: &dyn Environment) {
//!     let _ = guest.prepare_sleep(session, env, true);
//! }
//! ```
//!
//! # An unknown key is pinned before the host proves itself
//! ```
//! # use mvm_core::session::*;
//! fn pinned(unpinned: HostUnpinned<'_>, host: &mut HostEndpoint, env: &dyn Environment, out: &mut [u8]) {
//!     let Ok(verified) = unpinned.pin(host, |_, _| Ok::<(), ()>(())) else { return };
//!     let _ = verified.finish(host, env, out);
//! }
//! ```
//! ```compile_fail,E0599
//! # use mvm_core::session::*;
//! fn unpinned(unpinned: HostUnpinned<'_>, host: &mut HostEndpoint, env: &dyn Environment, out: &mut [u8]) {
//!     let _ = unpinned.finish(host, env, out);
//! }
//! ```
//!
//! # A key is for one purpose
//! ```compile_fail,E0308
//! # use mvm_core::session::*;
//! # use mvm_core::signing::DocumentKey;
//! fn host_key(key: DocumentKey) -> HostKey { key }
//! ```
//! ```compile_fail,E0308
//! # use mvm_core::session::*;
//! fn guest_key(key: HostKey) -> GuestKey { key }
//! ```
//! ```compile_fail,E0277
//! # use mvm_core::session::*;
//! # use mvm_core::signing::DocumentKey;
//! fn host_key(key: DocumentKey) -> HostKey { key.into() }
//! ```
//! ```compile_fail,E0308
//! # use mvm_core::session::*;
//! fn trusted(key: GuestPublicKey) -> TrustedHost { TrustedHost::new(key) }
//! ```
//! ```
//! # use mvm_core::session::*;
//! fn trusted(key: HostPublicKey) -> TrustedHost { TrustedHost::new(key) }
//! ```
//! ```compile_fail,E0308
//! # use mvm_core::session::*;
//! # use mvm_core::naming::SignerId;
//! # use mvm_core::signing::SignedPayload;
//! fn sign(signer: SignerId, key: &GuestKey) { let _ = SignedPayload::sign(b"{}", signer, key); }
//! ```
//! ```
//! # use mvm_core::naming::SignerId;
//! # use mvm_core::signing::{DocumentKey, SignedPayload};
//! fn sign(signer: SignerId, key: &DocumentKey) { let _ = SignedPayload::sign(b"{}", signer, key); }
//! ```
//!
//! # A key of a session signs nothing that its caller chooses
//! ```compile_fail,E0624
//! # use mvm_core::session::*;
//! fn oracle(key: &GuestKey) { let _ = key.sign_raw(b"anything"); }
//! ```
//!
//! # A verified payload is made by verifying alone
//! ```compile_fail,E0451
//! # use mvm_core::naming::SignerId;
//! # use mvm_core::signing::Verified;
//! fn by_hand<'a>(payload: &'a [u8], signer_id: &'a SignerId) -> Verified<'a> {
//!     Verified { payload, signer_id, not_after: None }
//! }
//! ```
//!
//! # A session is made by a handshake alone
//! ```compile_fail,E0624
//! # use mvm_core::session::*;
//! fn by_hand() { let _ = GuestSession::new; }
//! ```
//!
//! # Nobody else's type is an endpoint
//! ```compile_fail,E0277
//! # use mvm_core::session::*;
//! struct Lenient;
//! impl Endpoint for Lenient {
//!     type Own = mvm_core::signing::Guest;
//!     type Peer = mvm_core::signing::Host;
//!     const SENDS: u8 = b'G';
//!     const RECEIVES: u8 = b'H';
//! }
//! ```
