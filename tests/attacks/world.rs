//! A host and a guest in one process, and every message between them in the attacker's hands.

use core::cell::Cell;

use mvm_core::naming::InstanceId;
use mvm_core::session::*;
use mvm_core::time::Timestamp;

pub(crate) const HOST_SEED: [u8; 32] = [0xa1; 32];
pub(crate) const GUEST_SEED: [u8; 32] = [0xb2; 32];
/// A key that belongs to nobody here.
pub(crate) const STRANGER_SEED: [u8; 32] = [0xc3; 32];
/// The key of another guest of the same fleet.
pub(crate) const NEIGHBOUR_SEED: [u8; 32] = [0xd4; 32];
pub(crate) const INSTANCE: &str = "i-0a1b2c3d";
pub(crate) const NEIGHBOUR: &str = "i-99999999";
pub(crate) const SERVICE: u16 = 5252;
pub(crate) const OTHER_SERVICE: u16 = 5353;
pub(crate) const HOST_CAPABILITIES: u32 = 0b0111;
pub(crate) const GUEST_CAPABILITIES: u32 = 0b1101;
pub(crate) const LIFETIME_MS: u64 = 60_000;

pub(crate) fn host_key(seed: [u8; 32]) -> &'static HostKey {
    Box::leak(Box::new(HostKey::from_seed(&seed)))
}

pub(crate) fn guest_key(seed: [u8; 32]) -> &'static GuestKey {
    Box::leak(Box::new(GuestKey::from_seed(&seed)))
}

pub(crate) fn instance(name: &str) -> InstanceId {
    InstanceId::new(name).unwrap()
}

/// The machine one side runs on.
pub(crate) struct Machine {
    mark: Cell<Mark>,
    /// The mark changes after so many more reads.
    changes_after: Cell<Option<u32>>,
    pub(crate) now: Cell<u64>,
    pub(crate) wall: Cell<Option<Timestamp>>,
}

impl Machine {
    pub(crate) fn new(mark: Mark) -> Self {
        Self {
            mark: Cell::new(mark),
            changes_after: Cell::new(None),
            now: Cell::new(1_000_000),
            wall: Cell::new(None),
        }
    }

    /// The machine is restored from a snapshot, now.
    pub(crate) fn restore(&self) {
        self.restore_after_reads(0);
    }

    /// The machine is restored after the mark was read `reads` more times.
    pub(crate) fn restore_after_reads(&self, reads: u32) {
        self.changes_after.set(Some(reads));
    }

    pub(crate) fn sleep(&self, millis: u64) {
        self.now.set(self.now.get() + millis);
    }
}

impl Environment for Machine {
    fn mark(&self) -> Mark {
        match self.changes_after.get() {
            Some(0) => {
                self.changes_after.set(None);
                self.mark.set(match self.mark.get() {
                    Mark::Changing(mark) => Mark::Changing(mark + 1),
                    constant => constant,
                });
            }
            Some(reads) => self.changes_after.set(Some(reads - 1)),
            None => {}
        }
        self.mark.get()
    }

    fn monotonic_millis(&self) -> u64 {
        self.now.get()
    }

    fn wall_clock(&self) -> Option<Timestamp> {
        self.wall.get()
    }
}

/// Both ends of one session.
pub(crate) struct Pair {
    pub(crate) host: HostSession<'static>,
    pub(crate) guest: GuestSession<'static>,
}

/// The messages of one handshake, without their lengths, as they went over the wire.
#[derive(Clone)]
pub(crate) struct Recording {
    pub(crate) hello: Vec<u8>,
    pub(crate) answer: Vec<u8>,
    pub(crate) finish: Vec<u8>,
}

pub(crate) struct World {
    pub(crate) host_key: &'static HostKey,
    pub(crate) guest_key: &'static GuestKey,
    pub(crate) host: HostEndpoint,
    pub(crate) guest: GuestEndpoint,
    pub(crate) at_host: Machine,
    pub(crate) at_guest: Machine,
    drawn: u64,
}

pub(crate) fn trusting(keys: &[HostPublicKey]) -> TrustedHosts {
    let mut trusted = TrustedHosts::new();
    for key in keys {
        trusted.insert(TrustedHost::new(*key)).unwrap();
    }
    trusted
}

pub(crate) fn host_options(service: u16) -> HostOptions<'static> {
    HostOptions {
        service,
        capabilities: HOST_CAPABILITIES,
        extensions: b"host",
        lifetime_ms: LIFETIME_MS,
    }
}

pub(crate) fn guest_options(service: u16) -> GuestOptions<'static> {
    GuestOptions {
        service,
        capabilities: GUEST_CAPABILITIES,
        extensions: b"guest",
        lifetime_ms: LIFETIME_MS,
    }
}

/// The body of a frame whose length prefix is right.
pub(crate) fn body(frame: &[u8]) -> Vec<u8> {
    let (length, body) = frame.split_first_chunk::<4>().unwrap();
    assert_eq!(u32::from_be_bytes(*length) as usize, body.len());
    body.to_vec()
}

impl World {
    /// A guest that is not bound yet, and the host it was provisioned for, at generation 1.
    pub(crate) fn new() -> Self {
        let (host_key, guest_key) = (host_key(HOST_SEED), guest_key(GUEST_SEED));
        let trust = GuestTrust::pinned(guest_key.public());
        Self {
            host_key,
            guest_key,
            host: HostEndpoint::new(instance(INSTANCE), 1, trust).unwrap(),
            guest: GuestEndpoint::new(trusting(&[host_key.public()])),
            at_host: Machine::new(Mark::Changing(100)),
            at_guest: Machine::new(Mark::Changing(200)),
            drawn: 0,
        }
    }

    /// As [`new`](Self::new), the guest bound to its instance with a floor, the host at a generation.
    pub(crate) fn bound(floor: u64, generation: u64) -> Self {
        let mut world = Self::new();
        let trust = GuestTrust::pinned(world.guest_key.public());
        world.host = HostEndpoint::new(instance(INSTANCE), generation, trust).unwrap();
        world.guest = GuestEndpoint::bound(
            trusting(&[world.host_key.public()]),
            instance(INSTANCE),
            floor,
        );
        world
    }

    pub(crate) fn entropy(&mut self) -> Entropy {
        self.drawn += 1;
        let mut bytes = [0x5e; 32];
        bytes[..8].copy_from_slice(&self.drawn.to_le_bytes());
        Entropy::new(bytes)
    }

    pub(crate) fn sleep(&self, millis: u64) {
        self.at_host.sleep(millis);
        self.at_guest.sleep(millis);
    }

    pub(crate) fn begin_with(
        &mut self,
        options: HostOptions<'_>,
    ) -> (HostAwaitingGuest<'static>, Vec<u8>) {
        let entropy = self.entropy();
        let mut out = [0; HOST_HELLO_FRAME_MAX];
        let (waiting, n) = self
            .host
            .begin(self.host_key, options, entropy, &self.at_host, &mut out)
            .unwrap();
        (waiting, body(&out[..n]))
    }

    pub(crate) fn begin(&mut self, service: u16) -> (HostAwaitingGuest<'static>, Vec<u8>) {
        self.begin_with(host_options(service))
    }

    pub(crate) fn offer<'b>(
        &mut self,
        service: u16,
        hello: &'b [u8],
    ) -> Result<GuestOffer<'static, 'b>, HandshakeError> {
        self.guest.receive(
            self.guest_key,
            guest_options(service),
            &self.at_guest,
            hello,
        )
    }

    pub(crate) fn answer(
        &mut self,
        offer: GuestOffer<'static, '_>,
    ) -> Result<(GuestAwaitingFinish<'static>, Vec<u8>), HandshakeError> {
        let entropy = self.entropy();
        let mut out = [0; GUEST_HELLO_FRAME_MAX];
        let (waiting, n) = offer.answer(&mut self.guest, entropy, &self.at_guest, &mut out)?;
        Ok((waiting, body(&out[..n])))
    }

    /// [`offer`](Self::offer) and [`answer`](Self::answer).
    pub(crate) fn reply(
        &mut self,
        service: u16,
        hello: &[u8],
    ) -> Result<(GuestAwaitingFinish<'static>, Vec<u8>), HandshakeError> {
        let offer = self.offer(service, hello)?;
        self.answer(offer)
    }

    pub(crate) fn verify(
        &mut self,
        waiting: HostAwaitingGuest<'static>,
        answer: &[u8],
    ) -> Result<HostVerified<'static>, HandshakeError> {
        match waiting.receive(&mut self.host, &self.at_host, answer)? {
            Received::Verified(verified) => Ok(verified),
            Received::FirstUse(_) => panic!("the guest's key is pinned in this test"),
        }
    }

    pub(crate) fn prove(
        &mut self,
        verified: HostVerified<'static>,
    ) -> Result<(HostSession<'static>, Vec<u8>), HandshakeError> {
        let mut out = [0; HOST_FINISH_FRAME_LEN];
        let (session, n) = verified.finish(&mut self.host, &self.at_host, &mut out)?;
        Ok((session, body(&out[..n])))
    }

    pub(crate) fn complete(
        &mut self,
        waiting: GuestAwaitingFinish<'static>,
        finish: &[u8],
    ) -> Result<GuestSession<'static>, HandshakeError> {
        waiting.finish(&mut self.guest, &self.at_guest, finish)
    }

    /// An undisturbed handshake, and what went over the wire.
    pub(crate) fn recorded(&mut self, service: u16) -> (Pair, Recording) {
        let (waiting, hello) = self.begin(service);
        let (awaiting, answer) = self.reply(service, &hello).unwrap();
        let verified = self.verify(waiting, &answer).unwrap();
        let (host, finish) = self.prove(verified).unwrap();
        let guest = self.complete(awaiting, &finish).unwrap();
        (
            Pair { host, guest },
            Recording {
                hello,
                answer,
                finish,
            },
        )
    }

    pub(crate) fn connect_to(&mut self, service: u16) -> Pair {
        self.recorded(service).0
    }

    pub(crate) fn connect(&mut self) -> Pair {
        self.connect_to(SERVICE)
    }
}

/// Long enough for every payload of these tests but the oversize ones.
const SPACE: usize = 512;

impl Pair {
    pub(crate) fn host_seals(
        &mut self,
        world: &World,
        payload: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        let mut out = vec![0; payload.len() + SPACE];
        let n = self
            .host
            .seal(&world.host, &world.at_host, payload, &mut out)?;
        Ok(body(&out[..n]))
    }

    pub(crate) fn guest_seals(
        &mut self,
        world: &World,
        payload: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        let mut out = vec![0; payload.len() + SPACE];
        let n = self
            .guest
            .seal(&world.guest, &world.at_guest, payload, &mut out)?;
        Ok(body(&out[..n]))
    }

    pub(crate) fn host_closes(&mut self, world: &World) -> Result<Vec<u8>, SealError> {
        let mut out = [0; SPACE];
        let n = self.host.close(&world.host, &world.at_host, &mut out)?;
        Ok(body(&out[..n]))
    }

    pub(crate) fn guest_closes(&mut self, world: &World) -> Result<Vec<u8>, SealError> {
        let mut out = [0; SPACE];
        let n = self.guest.close(&world.guest, &world.at_guest, &mut out)?;
        Ok(body(&out[..n]))
    }

    pub(crate) fn host_opens<'b>(
        &mut self,
        world: &mut World,
        body: &'b [u8],
    ) -> Result<Opened<'b>, OpenError> {
        self.host.open(&mut world.host, &world.at_host, body)
    }

    pub(crate) fn guest_opens<'b>(
        &mut self,
        world: &mut World,
        body: &'b [u8],
    ) -> Result<Opened<'b>, OpenError> {
        self.guest.open(&mut world.guest, &world.at_guest, body)
    }

    /// A frame each way; both ends hold.
    pub(crate) fn talks(&mut self, world: &mut World) {
        let frame = self.host_seals(world, b"ping").unwrap();
        assert_eq!(self.guest_opens(world, &frame), Ok(Opened::Data(b"ping")));
        let frame = self.guest_seals(world, b"pong").unwrap();
        assert_eq!(self.host_opens(world, &frame), Ok(Opened::Data(b"pong")));
    }

    /// Why the session does not count any more, on either side, without using it.
    pub(crate) fn ended(&self, world: &World) -> [Option<Ended>; 2] {
        [
            self.host.check(&world.host, &world.at_host).err(),
            self.guest.check(&world.guest, &world.at_guest).err(),
        ]
    }
}
