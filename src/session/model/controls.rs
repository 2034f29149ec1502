//! Negative controls: the model finds the attack when a rule or a condition is switched off.

use std::string::String;
use std::vec::Vec;

use super::config::{self, Config, Freshness, Marks};
use super::direct;
use super::explore::explore;
use super::property::Violation::{self, *};
use crate::rules::Rule;

enum Control {
    /// With the rule switched off, this configuration leads to this violation first.
    Model(Config, Violation),
    /// An attack that is outside of what the model's attacker can do.
    Direct(fn()),
}

const UNIQUE: Config = Config {
    marks: Marks::Unique,
    entropy: Freshness::Copied,
    ..config::RESTORE
};

// Guests sign more than they should: what comes of it?
const HANDSHAKES_ON: Config = Config {
    ignored: &[SignedTooMuch],
    ..config::HANDSHAKES
};
const SPLICE_ON: Config = Config {
    ignored: &[SignedTooMuch],
    ..config::SPLICE
};
const ONE_KEY_ON: Config = Config {
    ignored: &[SignedTooMuch],
    ..config::ONE_KEY
};

// A host completes what it gave up: what comes of it?
const SUCCESSION_ON: Config = Config {
    ignored: &[GivenUpCompleted],
    ..config::SUCCESSION
};

/// What shows that a rule is needed. That this is a `match` makes sure that none lacks it.
const fn controls(rule: Rule) -> &'static [Control] {
    use Control::{Direct, Model};
    match rule {
        Rule::CanonicalEncoding => &[Direct(direct::padded_varint)],
        Rule::CanonicalKeys => &[Direct(direct::weak_key), Direct(direct::second_spelling)],
        Rule::GuestKeyOfInstance => &[
            Model(config::INSTANCES, WrongPeer),
            Model(config::FIRST_USE, WrongPeer),
        ],
        Rule::TrustedHost => &[
            Model(config::HANDSHAKES, SignedTooMuch),
            Model(HANDSHAKES_ON, GuestDeceived),
        ],
        Rule::HostProof => &[Model(config::HANDSHAKES, GuestDeceived)],
        Rule::GuestProof => &[Model(config::HANDSHAKES, HostDeceived)],
        Rule::SignedHostHello => &[Model(config::HANDSHAKES, HostDeceived)],
        Rule::SignedGuestHello => &[Model(config::HANDSHAKES, HostDeceived)],
        Rule::Service => &[
            Model(config::SPLICE, SignedTooMuch),
            Model(SPLICE_ON, HostDeceived),
        ],
        Rule::Instance => &[
            Model(config::ONE_KEY, SignedTooMuch),
            Model(ONE_KEY_ON, BindingMoved),
        ],
        Rule::FloorAtHello => &[Model(config::GENERATIONS, SignedTooMuch)],
        Rule::FloorAtFinish => &[Model(config::GENERATIONS, BindingMoved)],
        Rule::SupersedeEarlier => &[
            Model(config::SUCCESSION, GivenUpCompleted),
            Model(SUCCESSION_ON, SupersededUsed),
        ],
        Rule::GiveUpEarlier => &[Model(config::SUCCESSION, GivenUpCompleted)],
        Rule::RemovedKey => &[Model(config::REMOVED, DistrustedUsed)],
        Rule::Seen => &[Model(UNIQUE, RestoreMissed)],
        Rule::Mark => &[
            Model(UNIQUE, UsableAfterRestore),
            Model(config::HOST_RESTORE, UsableAfterRestore),
        ],
        Rule::MarkAfterSeal => &[Direct(direct::restore_while_sealing)],
        Rule::MarkInNonce => &[
            Model(UNIQUE, TwoInOneSession),
            Model(config::HOST_RESTORE, TwoInOneSession),
        ],
        Rule::SignedSequence => &[Model(config::FRAMES, FrameForged)],
        Rule::ExpectedSequence => &[Model(config::FRAMES, FrameForged)],
        Rule::SignedPayload => &[Model(config::FRAMES, FrameForged)],
        Rule::SignedDirection => &[Model(config::ONE_SEED, FrameForged)],
        Rule::SignedKind => &[Model(config::FRAMES, FrameForged)],
        Rule::SignedTranscript => &[
            Model(config::SPLICE, FrameForged),
            Model(config::SUCCESSION, FrameForged),
        ],
        Rule::AuthenticatedEnd => &[Model(config::FRAMES, TruncationMissed)],
        Rule::NothingAfterClose => &[Model(config::FRAMES, AfterClose)],
        Rule::FailClosed => &[Model(config::FRAMES, UsedAfterError)],
        Rule::CloseBeforeSnapshot => &[Model(config::PLANNED, UsableAfterRestore)],
    }
}

#[test]
fn the_model_finds_the_attack_where_a_rule_is_off() {
    let mut wrong = Vec::<String>::new();
    for rule in Rule::ALL {
        assert!(!controls(*rule).is_empty());
        for control in controls(*rule) {
            match control {
                Control::Direct(attack) => {
                    attack();
                    std::println!("model: without {rule:?}: shown directly");
                }
                Control::Model(config, expected) => {
                    let off = core::slice::from_ref(rule);
                    let report = explore(&Config {
                        without: off,
                        ..*config
                    });
                    std::println!("model: without {rule:?}: {report}");
                    if report.violation.as_ref().map(|(found, _)| *found) != Some(*expected) {
                        wrong.push(std::format!("{rule:?}: {expected:?} expected, {report}"));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The conditions of "Restore", every combination: sessions ended before the snapshot or not, what
/// the mark does, where the entropy comes from, and what then goes wrong.
#[test]
fn restored_guests_are_safe_under_the_conditions_and_only_then() {
    use Freshness::{Copied, Fresh};
    use Marks::{Changing, Constant, Unique};
    let table = [
        (false, Constant, Fresh, Some(UsableAfterRestore)),
        (false, Constant, Copied, Some(UsableAfterRestore)),
        (false, Changing, Fresh, None),
        (false, Changing, Copied, Some(TwoInOneSession)),
        (false, Unique, Fresh, None),
        (false, Unique, Copied, None),
        (true, Constant, Fresh, None),
        (true, Constant, Copied, Some(TwoInOneSession)),
        (true, Changing, Fresh, None),
        (true, Changing, Copied, Some(TwoInOneSession)),
        (true, Unique, Fresh, None),
        (true, Unique, Copied, None),
    ];
    let mut wrong = Vec::<String>::new();
    for (planned, marks, entropy, expected) in table {
        let base = if planned {
            config::PLANNED
        } else {
            config::RESTORE
        };
        let report = explore(&Config {
            marks,
            entropy,
            frames: 1,
            ..base
        });
        let found = report.violation.as_ref().map(|(found, _)| *found);
        std::println!("model: mark {marks:?}, entropy {entropy:?}: {report}");
        if found != expected {
            wrong.push(std::format!("{planned} {marks:?} {entropy:?}: {report}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What was open when the snapshot was taken stays dead wherever it was ended first, whatever mark
/// and entropy do: what fails there are identical guests fed identical bytes.
#[test]
fn what_was_ended_before_the_snapshot_stays_dead() {
    let report = explore(&Config {
        entropy: Freshness::Copied,
        frames: 1,
        ignored: &[TwoInOneSession, FrameRepeated, FrameEquivocated],
        ..config::PLANNED
    });
    std::println!("model: identical guests: {report}");
    assert_eq!(report.violation, None);
}

/// A host that is restored with its store needs a mark from outside of the snapshot.
#[test]
fn restored_hosts_need_a_mark_from_outside() {
    use Freshness::{Copied, Fresh};
    use Marks::{Changing, Constant, Unique};
    let table = [
        (Constant, Fresh, Some(UsableAfterRestore)),
        (Constant, Copied, Some(UsableAfterRestore)),
        (Changing, Fresh, None),
        (Changing, Copied, Some(TwoInOneSession)),
        (Unique, Fresh, None),
        (Unique, Copied, None),
    ];
    let mut wrong = Vec::<String>::new();
    for (host_marks, host_entropy, expected) in table {
        let report = explore(&Config {
            host_marks,
            host_entropy,
            ..config::HOST_RESTORE
        });
        let found = report.violation.as_ref().map(|(found, _)| *found);
        std::println!("model: host mark {host_marks:?}, entropy {host_entropy:?}: {report}");
        if found != expected {
            wrong.push(std::format!("{host_marks:?} {host_entropy:?}: {report}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
