//! What a host asks, and the guest's answers.

use guest_init::messages::{CLOCK, CLOCK_MAX, Clock, NUMBERS, NUMBERS_MAX, RANDOM};
use mvm_core::guest::{
    Answer, Call, Capabilities, Component, ComponentName, ComponentState, Components, Extension,
    Failure, Lifecycle, Pong, SecretBytes, StatusReport, Step, StepOutcome, Wake,
};
use mvm_core::session::GuestEndpoint;
use mvm_core::wire::codec::Bytes;

use crate::children::Workload;
use crate::kernel::NOSPC;
use crate::machine::{self, Machine, uptime_ms};
use crate::{kernel, numbers};

/// What this guest can do: everything the library has a name for.
pub(crate) const OFFERED: Capabilities = Capabilities::KNOWN;

/// Memory below this share of the whole counts as short, in percent.
const SHORT_PERCENT: u64 = 5;
/// Everything that is one for the whole guest, whatever the number of connections.
pub(crate) struct Guest {
    pub(crate) endpoint: GuestEndpoint,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) machine: Machine,
    pub(crate) workload: Option<Workload>,
    pub(crate) started_ms: u64,
    pub(crate) modules_missing: u32,
    pub(crate) memory: Watched,
    pub(crate) oom: Watched,
    /// Seed of the key of the sessions to come.
    pub(crate) next_key: Option<SecretBytes>,
}

/// A component whose state is only known when somebody asks: since when it has been seen in it.
#[derive(Clone, Copy)]
pub(crate) struct Watched {
    state: ComponentState,
    since_ms: u64,
}

impl Watched {
    pub(crate) const fn new() -> Self {
        Self {
            state: ComponentState::Unknown,
            since_ms: 0,
        }
    }

    fn seen(&mut self, state: ComponentState, now_ms: u64) {
        if self.state != state {
            *self = Self {
                state,
                since_ms: now_ms,
            };
        }
    }
}

/// What becomes of a call.
// There is no heap to put the answer on.
#[allow(clippy::large_enum_variant)]
pub(crate) enum Outcome<'a> {
    Answer(Answer<'a>),
    Fail(Failure),
}

/// Room for the answer of an own message.
pub(crate) struct Scratch([u8; NUMBERS_MAX]);

impl Scratch {
    pub(crate) const fn new() -> Self {
        Self([0; NUMBERS_MAX])
    }
}

impl Guest {
    /// Carries out every call but `SleepPrep`, which takes its time.
    // Not inlined: a large value that is given is otherwise moved field by field, hundreds of bytes of code.
    #[inline(never)]
    pub(crate) fn carry_out<'a>(
        &mut self,
        call: &Call<'_>,
        scratch: &'a mut Scratch,
    ) -> Outcome<'a> {
        match call {
            Call::Ping(ping) => Outcome::Answer(Answer::Pong(Pong {
                nonce: ping.nonce,
                uptime_ms: uptime_ms(),
            })),
            Call::Status => match self.status() {
                Some(report) => Outcome::Answer(Answer::Status(report)),
                None => Outcome::Fail(Failure::Failed { code: NOSPC.0 }),
            },
            Call::Wake(wake) => Outcome::Answer(Answer::Wake(self.wake(wake))),
            Call::Shutdown(_) => Outcome::Answer(Answer::Shutdown),
            Call::Extension(extension) => self.extension(extension, scratch),
            other => Outcome::Fail(Failure::Unsupported { op: other.op() }),
        }
    }

    fn wake(&mut self, wake: &Wake) -> mvm_core::guest::WakeReport {
        let mut report = machine::wake(wake);
        if let Some(seed) = &wake.new_guest_key {
            self.next_key = Some(SecretBytes::new(*seed.secret_bytes()));
            report.set(Step::Key, StepOutcome::Done);
        }
        report
    }

    fn status(&mut self) -> Option<StatusReport<'static>> {
        let now = uptime_ms();
        let kernel = numbers::read(self.started_ms);
        let percent = kernel
            .memory_available_kib
            .saturating_mul(100)
            .checked_div(kernel.memory_total_kib);
        self.memory.seen(
            match percent {
                None => ComponentState::Unknown,
                Some(SHORT_PERCENT..) => ComponentState::Ready,
                Some(left) => ComponentState::Failed {
                    code: u32::try_from(left).unwrap_or_default(),
                },
            },
            now,
        );
        self.oom.seen(
            failed_if(u32::try_from(kernel.oom_kills).unwrap_or(u32::MAX)),
            now,
        );

        let mut components = Components::new();
        let mut push = |name, state, since_ms: u64| {
            let name = ComponentName::new(name).ok()?;
            let since_ms = now.saturating_sub(since_ms);
            components
                .push(Component {
                    name,
                    state,
                    since_ms,
                })
                .ok()
        };
        push("init", ComponentState::Ready, self.started_ms)?;
        push("modules", failed_if(self.modules_missing), self.started_ms)?;
        push("memory", self.memory.state, self.memory.since_ms)?;
        push("oom-kills", self.oom.state, self.oom.since_ms)?;
        if let Some(workload) = &self.workload {
            push("workload", workload.state, workload.since_ms)?;
        }
        let mut report = StatusReport::new(&self.lifecycle, now);
        report.components = components;
        Some(report)
    }

    fn extension<'a>(&self, extension: &Extension<'_>, scratch: &'a mut Scratch) -> Outcome<'a> {
        #[cfg(feature = "planted")]
        if extension.kind == 666 {
            planted(extension.body.0);
        }
        if !extension.body.0.is_empty() && matches!(extension.kind, NUMBERS | RANDOM | CLOCK) {
            return Outcome::Fail(Failure::Malformed);
        }
        let out = &mut scratch.0;
        let len = match extension.kind {
            NUMBERS => numbers::read(self.started_ms).write(out),
            RANDOM => match kernel::random() {
                Ok(bytes) => write(out, &bytes),
                Err(error) => {
                    return Outcome::Fail(Failure::Failed { code: error.0 });
                }
            },
            CLOCK => {
                let now = kernel::wall_clock();
                let clock = Clock {
                    seconds: now.seconds,
                    nanoseconds: u32::try_from(now.nanoseconds).unwrap_or_default(),
                };
                let mut bytes = [0; CLOCK_MAX];
                let len = clock.write(&mut bytes);
                write(out, bytes.get(..len).unwrap_or_default())
            }
            kind => return Outcome::Fail(Failure::UnknownExtension { kind }),
        };
        Outcome::Answer(Answer::Extension(Bytes(out.get(..len).unwrap_or_default())))
    }
}

/// Puts bytes, which fit, to the front, and gives their length.
fn write(out: &mut [u8; NUMBERS_MAX], bytes: &[u8]) -> usize {
    for (to, from) in out.iter_mut().zip(bytes) {
        *to = *from;
    }
    bytes.len()
}

/// Ready with nothing to count.
const fn failed_if(count: u32) -> ComponentState {
    match count {
        0 => ComponentState::Ready,
        code => ComponentState::Failed { code },
    }
}

#[cfg(feature = "planted")]
fn planted(body: &[u8]) -> u8 {
    #[allow(clippy::indexing_slicing)]
    body[core::hint::black_box(666)]
}
