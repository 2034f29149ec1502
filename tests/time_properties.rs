//! Timestamps against jiff, an independent implementation, and their properties.
// Helpers of tests, which clippy's exceptions for test functions do not reach.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

use core::time::Duration;

use jiff::SignedDuration;
use jiff::civil::DateTime;
use mvm_core::time::{Expected, ParseTimestampError as E, Timestamp, TimestampPart as Part};
use proptest::prelude::*;

/// jiff's text of the same instant. Through its civil time: its own timestamps end a day early.
fn by_jiff(seconds: i64, nanos: u32) -> String {
    let epoch = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
    let since = SignedDuration::new(seconds, i32::try_from(nanos).unwrap());
    let digits = match nanos {
        0 => 0,
        _ if nanos.is_multiple_of(1_000_000) => 3,
        _ if nanos.is_multiple_of(1_000) => 6,
        _ => 9,
    };
    let civil = epoch.checked_add(since).unwrap();
    let text = civil.strftime("%Y-%m-%dT%H:%M:%S").to_string();
    match digits {
        0 => format!("{text}Z"),
        _ => {
            let fraction = format!("{nanos:09}");
            format!("{text}.{}Z", &fraction[..digits])
        }
    }
}

fn agree(seconds: i64, nanos: u32) {
    let timestamp = Timestamp::new(seconds, nanos).unwrap();
    let text = by_jiff(seconds, nanos);
    assert_eq!(timestamp.format(&mut [0; 30]), text);
    assert_eq!(timestamp.to_string(), text);
    assert_eq!(text.parse(), Ok(timestamp), "{text}");
}

#[test]
fn agrees_with_jiff_over_the_whole_range() {
    let (mut seconds, last) = (Timestamp::MIN.seconds(), Timestamp::MAX.seconds());
    let mut seen = 0;
    while seconds <= last {
        let nanos = [0, 5_000_000, 999_000, 1, 999_999_999][seen % 5];
        agree(seconds, nanos);
        seen += 1;
        // A prime, about 18 days: every hour, minute and second comes up.
        seconds += 1_555_559;
    }
    assert_eq!(seen, 202_846);
}

#[test]
fn agrees_with_jiff_around_the_turns_of_years_and_leap_days() {
    for year in [
        1, 2, 4, 99, 100, 400, 1582, 1600, 1700, 1900, 1969, 1970, 2000, 2024, 2100, 9996, 9999,
    ] {
        for (month, day) in [(1, 1), (2, 28), (3, 1), (12, 31)] {
            let midnight = DateTime::constant(year, month, day, 0, 0, 0, 0);
            let epoch = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
            let seconds = midnight.duration_since(epoch).as_secs();
            for offset in [-86_401, -86_400, -1, 0, 1, 86_399, 86_400, 86_401] {
                if let Ok(timestamp) = Timestamp::new(seconds + offset, 999_999_999) {
                    agree(timestamp.seconds(), timestamp.subsec_nanos());
                    agree(timestamp.seconds(), 0);
                }
            }
        }
    }
}

#[test]
fn bounds() {
    let ns = |seconds, nanos| Timestamp::new(seconds, nanos);
    assert_eq!(ns(-62_135_596_800, 0), Ok(Timestamp::MIN));
    assert!(ns(-62_135_596_801, 999_999_999).is_err());
    assert_eq!(ns(253_402_300_799, 999_999_999), Ok(Timestamp::MAX));
    assert!(ns(253_402_300_800, 0).is_err());
    for (seconds, nanos) in [
        (0, 1_000_000_000),
        (0, u32::MAX),
        (i64::MIN, 0),
        (i64::MAX, 0),
    ] {
        assert!(ns(seconds, nanos).is_err());
    }
    let tick = Duration::from_nanos(1);
    assert_eq!(Timestamp::MAX.checked_add(tick), None);
    assert_eq!(Timestamp::MIN.checked_sub(tick), None);
    assert_eq!(Timestamp::MIN.checked_add(Duration::MAX), None);
    assert_eq!(Timestamp::MAX.checked_sub(Duration::MAX), None);
    let all = Timestamp::MAX.duration_since(Timestamp::MIN).unwrap();
    assert_eq!(Timestamp::MIN.checked_add(all), Some(Timestamp::MAX));
    assert_eq!(Timestamp::MAX.checked_sub(all), Some(Timestamp::MIN));
    assert_eq!(
        Timestamp::MAX.duration_since(Timestamp::MAX),
        Some(Duration::ZERO)
    );
}

/// Other ways to write 2026-02-25T12:00:00Z, and instants with fractions.
#[test]
fn accepted() {
    for (text, canonical) in [
        ("2026-02-25T12:00:00Z", "2026-02-25T12:00:00Z"),
        ("2026-02-25t12:00:00z", "2026-02-25T12:00:00Z"),
        ("2026-02-25T12:00:00+00:00", "2026-02-25T12:00:00Z"),
        ("2026-02-25T12:00:00-00:00", "2026-02-25T12:00:00Z"),
        ("2026-02-25T12:00:00.0Z", "2026-02-25T12:00:00Z"),
        ("2026-02-25T12:00:00.000000000Z", "2026-02-25T12:00:00Z"),
        ("2026-02-25T17:45:00+05:45", "2026-02-25T12:00:00Z"),
        ("2026-02-24T12:01:00-23:59", "2026-02-25T12:00:00Z"),
        ("2026-02-26T11:59:00+23:59", "2026-02-25T12:00:00Z"),
        ("2026-02-25T12:00:00.1Z", "2026-02-25T12:00:00.100Z"),
        ("2026-02-25T12:00:00.1200Z", "2026-02-25T12:00:00.120Z"),
        ("2026-02-25T12:00:00.0001Z", "2026-02-25T12:00:00.000100Z"),
        (
            "2026-02-25T12:00:00.0000001Z",
            "2026-02-25T12:00:00.000000100Z",
        ),
        (
            "2026-02-25T12:00:00.123456789+01:00",
            "2026-02-25T11:00:00.123456789Z",
        ),
        ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z"),
        ("2000-02-29T00:00:00Z", "2000-02-29T00:00:00Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("0001-01-01T23:59:00+23:59", "0001-01-01T00:00:00Z"),
        (
            "9999-12-31T23:59:59.999999999Z",
            "9999-12-31T23:59:59.999999999Z",
        ),
        ("9999-12-31T00:00:59.9-23:59", "9999-12-31T23:59:59.900Z"),
    ] {
        assert_eq!(
            text.parse::<Timestamp>().map(|t| t.to_string()),
            Ok(canonical.into()),
            "{text}"
        );
    }
}

#[test]
fn refused() {
    let ended = |at, expected| E::Ended { at, expected };
    let unexpected = |at, found, expected| E::Unexpected {
        at,
        found,
        expected,
    };
    let range = |part, at, value| E::OutOfRange { part, at, value };
    for (text, error) in [
        ("", ended(0, Expected::Digit)),
        ("2026", ended(4, Expected::Hyphen)),
        ("2026-02-25", ended(10, Expected::T)),
        ("2026-02-25T12:00", ended(16, Expected::Colon)),
        ("2026-02-25T12:00:00", ended(19, Expected::Offset)),
        ("2026-02-25T12:00:00.", ended(20, Expected::Digit)),
        ("2026-02-25T12:00:00.5", ended(21, Expected::Offset)),
        ("2026-02-25T12:00:00+01", ended(22, Expected::Colon)),
        ("2026-02-25T12:00:00+01:", ended(23, Expected::Digit)),
        ("2026-02-25 12:00:00Z", unexpected(10, b' ', Expected::T)),
        ("2026-02-25_12:00:00Z", unexpected(10, b'_', Expected::T)),
        ("26-02-25T12:00:00Z", unexpected(2, b'-', Expected::Digit)),
        (
            "+2026-02-25T12:00:00Z",
            unexpected(0, b'+', Expected::Digit),
        ),
        ("-001-02-25T12:00:00Z", unexpected(0, b'-', Expected::Digit)),
        ("20260225T120000Z", unexpected(4, b'0', Expected::Hyphen)),
        (
            "12026-02-25T12:00:00Z",
            unexpected(4, b'6', Expected::Hyphen),
        ),
        ("2026-2-25T12:00:00Z", unexpected(6, b'-', Expected::Digit)),
        ("2026-02-25T12:00Z", unexpected(16, b'Z', Expected::Colon)),
        (
            "2026-02-25T12:00:00,5Z",
            unexpected(19, b',', Expected::Offset),
        ),
        (
            "2026-02-25T12:00:00.Z",
            unexpected(20, b'Z', Expected::Digit),
        ),
        (
            "2026-02-25T12:00:00+0100",
            unexpected(22, b'0', Expected::Colon),
        ),
        ("2026-02-25T12:00:00ZZ", unexpected(20, b'Z', Expected::End)),
        ("2026-02-25T12:00:00Z ", unexpected(20, b' ', Expected::End)),
        (
            " 2026-02-25T12:00:00Z",
            unexpected(0, b' ', Expected::Digit),
        ),
        (
            "２026-02-25T12:00:00Z",
            unexpected(0, 0xef, Expected::Digit),
        ),
        (
            "2026-02-25T12:00:00\u{2212}01:00",
            unexpected(19, 0xe2, Expected::Offset),
        ),
        ("0000-01-01T00:00:00Z", range(Part::Year, 0, 0)),
        ("2026-00-25T12:00:00Z", range(Part::Month, 5, 0)),
        ("2026-13-25T12:00:00Z", range(Part::Month, 5, 13)),
        ("2026-02-00T12:00:00Z", range(Part::Day, 8, 0)),
        ("2026-02-29T12:00:00Z", range(Part::Day, 8, 29)),
        ("1900-02-29T12:00:00Z", range(Part::Day, 8, 29)),
        ("2026-04-31T12:00:00Z", range(Part::Day, 8, 31)),
        ("2026-02-25T24:00:00Z", range(Part::Hour, 11, 24)),
        ("2026-02-25T12:60:00Z", range(Part::Minute, 14, 60)),
        ("2026-02-25T12:00:61Z", range(Part::Second, 17, 61)),
        ("2026-02-25T12:00:00+24:00", range(Part::OffsetHour, 20, 24)),
        (
            "2026-02-25T12:00:00-01:60",
            range(Part::OffsetMinute, 23, 60),
        ),
        ("2016-12-31T23:59:60Z", E::LeapSecond { at: 17 }),
        ("2026-02-25T12:00:00.0000000000Z", E::TooPrecise { at: 29 }),
        ("2026-02-25T12:00:00.1234567891Z", E::TooPrecise { at: 29 }),
        ("0001-01-01T00:00:00+00:01", E::BeyondRange { at: 19 }),
        ("9999-12-31T23:59:59.9-00:01", E::BeyondRange { at: 21 }),
    ] {
        assert_eq!(text.parse::<Timestamp>(), Err(error), "{text}");
        assert!(error.to_string().starts_with("timestamp: "), "{error}");
        assert!(serde_json::from_value::<Timestamp>(text.into()).is_err());
    }
}

#[test]
fn golden_bytes() {
    for (text, bytes) in [
        ("1970-01-01T00:00:00Z", &[0, 0][..]),
        ("1970-01-01T00:00:01.000000001Z", &[2, 1]),
        // One nanosecond before 1970: second -1 (zigzag 1) and 999,999,999.
        (
            "1969-12-31T23:59:59.999999999Z",
            &[1, 0xff, 0x93, 0xeb, 0xdc, 0x03],
        ),
        (
            "0001-01-01T00:00:00Z",
            &[0xff, 0xdb, 0x8f, 0xf9, 0xce, 0x03, 0],
        ),
        (
            "9999-12-31T23:59:59Z",
            &[0xfe, 0x85, 0xa2, 0xff, 0xdf, 0x0e, 0],
        ),
    ] {
        let timestamp: Timestamp = text.parse().unwrap();
        let mut buffer = [0; 16];
        assert_eq!(
            postcard::to_slice(&timestamp, &mut buffer).unwrap(),
            bytes,
            "{text}"
        );
        assert_eq!(postcard::from_bytes(bytes), Ok(timestamp));
    }
    // A whole second of nanoseconds, and a second beyond each end.
    for bytes in [
        &[0, 0x80, 0x94, 0xeb, 0xdc, 0x03][..],
        &[0x81, 0xdc, 0x8f, 0xf9, 0xce, 0x03, 0],
        &[0x80, 0x86, 0xa2, 0xff, 0xdf, 0x0e, 0],
    ] {
        assert!(postcard::from_bytes::<(i64, u32)>(bytes).is_ok());
        assert!(
            postcard::from_bytes::<Timestamp>(bytes).is_err(),
            "{bytes:?}"
        );
    }
}

fn timestamps() -> impl Strategy<Value = Timestamp> {
    let seconds = Timestamp::MIN.seconds()..=Timestamp::MAX.seconds();
    let nanos = prop_oneof![
        Just(0),
        (0..1000_u32).prop_map(|ms| ms * 1_000_000),
        0..1_000_000_000_u32
    ];
    (seconds, nanos).prop_map(|(seconds, nanos)| Timestamp::new(seconds, nanos).unwrap())
}

fn nanos(timestamp: Timestamp) -> i128 {
    i128::from(timestamp.seconds()) * 1_000_000_000 + i128::from(timestamp.subsec_nanos())
}

proptest! {
    #[test]
    fn round_trips(timestamp in timestamps()) {
        agree(timestamp.seconds(), timestamp.subsec_nanos());
        let json = serde_json::to_string(&timestamp).unwrap();
        prop_assert_eq!(&json, &format!("\"{timestamp}\""));
        prop_assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap(), timestamp);
        let mut buffer = [0; 16];
        let bytes = postcard::to_slice(&timestamp, &mut buffer).unwrap();
        prop_assert_eq!(postcard::from_bytes::<Timestamp>(bytes).unwrap(), timestamp);
    }

    #[test]
    fn offsets_are_taken_off(timestamp in timestamps(), minutes in -1439..=1439_i64) {
        let local = by_jiff_local(timestamp, minutes);
        if let Some(local) = local {
            prop_assert_eq!(local.parse::<Timestamp>(), Ok(timestamp), "{}", local);
        }
    }

    #[test]
    fn arithmetic_is_that_of_integers(a in timestamps(), b in timestamps(), c in any::<u64>(), d in 0..1_000_000_000_u32) {
        prop_assert_eq!(a.cmp(&b), nanos(a).cmp(&nanos(b)));
        let between = u128::try_from(nanos(a) - nanos(b)).ok();
        prop_assert_eq!(a.duration_since(b).map(|time| time.as_nanos()), between);
        if let Some(between) = a.duration_since(b) {
            prop_assert_eq!(b.checked_add(between), Some(a));
            prop_assert_eq!(a.checked_sub(between), Some(b));
        }
        for time in [Duration::new(c, d), Duration::new(c >> 28, d), Duration::new(c >> 44, d)] {
            let step = i128::try_from(time.as_nanos()).unwrap();
            let range = nanos(Timestamp::MIN)..=nanos(Timestamp::MAX);
            let expected = |sum: i128| range.contains(&sum).then_some(sum);
            prop_assert_eq!(a.checked_add(time).map(nanos), expected(nanos(a) + step));
            prop_assert_eq!(a.checked_sub(time).map(nanos), expected(nanos(a) - step));
        }
    }

    /// Whatever is read is what jiff reads, and an error points into the text.
    #[test]
    fn nothing_is_read_that_jiff_reads_otherwise(
        text in prop_oneof![
            "\\PC*",
            "[0-9]{4}-[0-1][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{0,11})?([Zz]|[+-][0-2][0-9]:[0-6][0-9])?",
            "2[0-9]{3}-0[1-9]-[0-2][0-9]T[0-1][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-][0-1][0-9]:[0-5][0-9])",
        ]
    ) {
        match text.parse::<Timestamp>() {
            Ok(timestamp) => {
                if let Ok(theirs) = text.parse::<jiff::Timestamp>() {
                    prop_assert_eq!(nanos(timestamp), theirs.as_nanosecond());
                } else {
                    // Only at the ends, which jiff's timestamps do not reach.
                    prop_assert!(text.starts_with("9999-12-3") || text.starts_with("000"), "{}", text);
                }
            }
            Err(E::Ended { at, .. }) => prop_assert_eq!(usize::from(at), text.len()),
            Err(E::Unexpected { at, found, .. }) => {
                prop_assert_eq!(text.as_bytes()[usize::from(at)], found);
            }
            Err(E::OutOfRange { at, .. } | E::LeapSecond { at } | E::TooPrecise { at } | E::BeyondRange { at }) => {
                prop_assert!(usize::from(at) < text.len());
            }
            Err(error) => prop_assert!(false, "{error}"),
        }
    }
}

/// The instant in local time with an offset, or `None` where its year then has no four digits.
fn by_jiff_local(timestamp: Timestamp, minutes: i64) -> Option<String> {
    let local =
        Timestamp::new(timestamp.seconds() + minutes * 60, timestamp.subsec_nanos()).ok()?;
    let text = by_jiff(local.seconds(), local.subsec_nanos());
    let sign = if minutes < 0 { '-' } else { '+' };
    let (hours, rest) = (minutes.abs() / 60, minutes.abs() % 60);
    Some(text.replace('Z', &format!("{sign}{hours:02}:{rest:02}")))
}
