//! The version of Firecracker.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use core::fmt;

use thiserror_no_std::Error;

use super::settings::{Settings, Variables};

/// The version of Firecracker where nothing else is asked for: `v1.14.1`, or what the variable
/// `MVM_FC_VERSION` was when this crate was built, in the form it had there.
pub const FC_VERSION_DEFAULT: &str = match option_env!("MVM_FC_VERSION") {
    Some(version) if !version.is_empty() => version,
    _ => "v1.14.1",
};

// A default that is no version would come out wherever nobody sets another.
const _: () = assert!(
    begins_with_version(FC_VERSION_DEFAULT.as_bytes()),
    "MVM_FC_VERSION must be a version such as v1.14.1 when mvm-core is built"
);

/// Whether a text begins with digits, a dot and a digit, after a `v` or without one.
const fn begins_with_version(text: &[u8]) -> bool {
    let mut rest = match text {
        [b'v', rest @ ..] => rest,
        _ => text,
    };
    if !matches!(rest, [b'0'..=b'9', ..]) {
        return false;
    }
    while let [b'0'..=b'9', tail @ ..] = rest {
        rest = tail;
    }
    matches!(rest, [b'.', b'0'..=b'9', ..])
}

/// A version of Firecracker, with the parts that [`normalize_fc_version`] leaves out.
///
/// ```
/// use mvm_core::config::FcVersion;
///
/// let banner = "Firecracker v1.15.0-rc.1+5.10 (built 2026.02.1)\n\nSupported snapshot data format versions: v8.0.0";
/// let version = FcVersion::find(banner)?;
/// assert_eq!((version.major(), version.minor(), version.patch()), (1, 15, Some(0)));
/// assert_eq!((version.pre_release(), version.build()), (Some("rc.1"), Some("5.10")));
/// assert_eq!(version.to_string(), "v1.15.0-rc.1+5.10");
/// # Ok::<(), mvm_core::config::FcVersionError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FcVersion {
    major: u64,
    minor: u64,
    patch: Option<u64>,
    pre_release: Option<String>,
    build: Option<String>,
}

/// Why a text has no version of Firecracker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FcVersionError {
    /// There is nothing of the form `MAJOR.MINOR` that is not a date.
    #[error("there is no version in the text")]
    Missing,
    /// A number of the version does not fit in 64 bits.
    #[error("a number of the version does not fit in 64 bits")]
    TooLarge,
}

impl_error!(FcVersionError);

impl FcVersion {
    /// The version in a text that belongs to Firecracker: a version string, the name of a release's
    /// file, or what `firecracker --version` prints.
    ///
    /// A version is `MAJOR.MINOR` or `MAJOR.MINOR.PATCH`, with a `v` before it or without one, and a
    /// pre-release (`-rc.1`, `-dirty`) and build (`+abc`) part; the name of an architecture after a
    /// hyphen is not one. Of several, it is the first that directly follows the word `firecracker`,
    /// else the first with a `v`, else the first that is not a date (`2025.01.02`, `02.01.2025`). What
    /// stands in the parts behind a version is never taken for another.
    ///
    /// # Errors
    /// [`FcVersionError`].
    pub fn find(text: &str) -> Result<Self, FcVersionError> {
        let found = Found::of_firecracker(text).ok_or(FcVersionError::Missing)?;
        let mut numbers = found.core.split('.').map(|number| {
            number
                .parse::<u64>()
                .map_err(|_overflow| FcVersionError::TooLarge)
        });
        let mut next = || numbers.next().transpose();
        Ok(Self {
            major: next()?.ok_or(FcVersionError::Missing)?,
            minor: next()?.ok_or(FcVersionError::Missing)?,
            patch: next()?,
            pre_release: found.pre_release.map(ToOwned::to_owned),
            build: found.build.map(ToOwned::to_owned),
        })
    }

    /// The first number.
    #[must_use]
    pub const fn major(&self) -> u64 {
        self.major
    }

    /// The second number.
    #[must_use]
    pub const fn minor(&self) -> u64 {
        self.minor
    }

    /// The third number, if there is one.
    #[must_use]
    pub const fn patch(&self) -> Option<u64> {
        self.patch
    }

    /// What follows after a hyphen.
    #[must_use]
    pub fn pre_release(&self) -> Option<&str> {
        self.pre_release.as_deref()
    }

    /// What follows after a plus.
    #[must_use]
    pub fn build(&self) -> Option<&str> {
        self.build.as_deref()
    }
}

impl fmt::Display for FcVersion {
    /// `v`, the numbers without leading zeros, and the parts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}.{}", self.major, self.minor)?;
        if let Some(patch) = self.patch {
            write!(f, ".{patch}")?;
        }
        if let Some(pre_release) = &self.pre_release {
            write!(f, "-{pre_release}")?;
        }
        if let Some(build) = &self.build {
            write!(f, "+{build}")?;
        }
        Ok(())
    }
}

impl core::str::FromStr for FcVersion {
    type Err = FcVersionError;

    fn from_str(text: &str) -> Result<Self, FcVersionError> {
        Self::find(text)
    }
}

/// `v` and the numbers of the version in a text that belongs to Firecracker (see
/// [`FcVersion::find`]), without its pre-release and build parts, or of [`FC_VERSION_DEFAULT`]
/// where the text has none. This is the form in the names of releases.
///
/// ```
/// use mvm_core::config::normalize_fc_version;
///
/// assert_eq!(normalize_fc_version("1.14.1"), "v1.14.1");
/// assert_eq!(normalize_fc_version("Firecracker v1.7.0 (built 2024.05.1)"), "v1.7.0");
/// assert_eq!(normalize_fc_version("jailer v1.5.0, firecracker v1.7.0-rc.1"), "v1.7.0");
/// ```
#[must_use]
pub fn normalize_fc_version(raw: &str) -> String {
    let core = Found::of_firecracker(raw)
        .or_else(|| Found::of_firecracker(FC_VERSION_DEFAULT))
        .map_or("1.14.1", |found| found.core);
    format!("v{core}")
}

impl<V: Variables> Settings<V> {
    /// The version of Firecracker, normalized: that of `MVM_FC_VERSION`, else
    /// [`FC_VERSION_DEFAULT`], also where the variable has a text without a version.
    /// [`Settings::check_fc_version`] tells the two apart.
    ///
    /// ```
    /// use mvm_core::config::Settings;
    /// assert_eq!(Settings::new(|_: &str| Some("1.13".into())).fc_version(), "v1.13");
    /// ```
    #[must_use]
    pub fn fc_version(&self) -> String {
        normalize_fc_version(self.text("MVM_FC_VERSION").as_deref().unwrap_or_default())
    }

    /// The version of Firecracker as far as it goes in the paths of release assets: `v1.14`.
    #[must_use]
    pub fn fc_version_short(&self) -> String {
        let full = self.fc_version();
        let mut parts = full.splitn(3, '.');
        match (parts.next(), parts.next()) {
            (Some(major), Some(minor)) => format!("{major}.{minor}"),
            _ => full,
        }
    }

    /// The version that `MVM_FC_VERSION` asks for, `None` if it is unset. For programs that would
    /// rather stop than take the default for a mistyped version.
    ///
    /// # Errors
    /// [`FcVersionError`] if the variable has no version, or is not UTF-8.
    pub fn check_fc_version(&self) -> Result<Option<FcVersion>, FcVersionError> {
        match self.value("MVM_FC_VERSION") {
            super::settings::Value::Unset => Ok(None),
            super::settings::Value::NotUnicode => Err(FcVersionError::Missing),
            super::settings::Value::Text(text) => FcVersion::find(&text).map(Some),
        }
    }
}

/// [`Settings::fc_version`] in the environment of the process.
#[must_use]
pub fn fc_version() -> String {
    Settings::of_process().fc_version()
}

/// [`Settings::fc_version_short`] in the environment of the process.
#[must_use]
pub fn fc_version_short() -> String {
    Settings::of_process().fc_version_short()
}

/// A version where it stands in a text.
#[derive(Clone, Copy)]
struct Found<'a> {
    /// What stands before it, its `v`s left out.
    before: &'a str,
    has_v: bool,
    /// `MAJOR.MINOR` or `MAJOR.MINOR.PATCH`.
    core: &'a str,
    pre_release: Option<&'a str>,
    build: Option<&'a str>,
}

impl<'a> Found<'a> {
    fn of_firecracker(text: &'a str) -> Option<Self> {
        let all = || Versions { text, at: 0 }.filter(|found| found.has_v || !found.is_date());
        all()
            .find(|found| found.follows_firecracker())
            .or_else(|| all().find(|found| found.has_v))
            .or_else(|| all().next())
    }

    fn follows_firecracker(&self) -> bool {
        let separator = |c: char| c.is_ascii_whitespace() || "-_:=/(\"'".contains(c);
        let mut before = self.before.trim_end_matches(separator);
        if let Some(rest) = strip_suffix_ignoring_case(before, "version") {
            before = rest.trim_end_matches(separator);
        }
        strip_suffix_ignoring_case(before, "firecracker").is_some()
    }

    /// Year first or year last, both with a month that there is.
    fn is_date(&self) -> bool {
        let mut parts = self.core.split('.');
        let mut number = || parts.next().map(|part| (part.len(), part.parse::<u32>()));
        let year = |part: &Option<(usize, _)>| matches!(part, Some((4, Ok(1970..=2199))));
        let month = |part: &Option<(usize, _)>| matches!(part, Some((1..=2, Ok(1..=12))));
        let day = |part: &Option<(usize, _)>| matches!(part, Some((1..=2, Ok(1..=31))));
        let (first, second, third) = (number(), number(), number());
        year(&first) && month(&second)
            || year(&third) && (day(&first) && month(&second) || month(&first) && day(&second))
    }
}

fn strip_suffix_ignoring_case<'a>(text: &'a str, suffix: &str) -> Option<&'a str> {
    let (rest, end) = text.split_at_checked(text.len().checked_sub(suffix.len())?)?;
    end.eq_ignore_ascii_case(suffix).then_some(rest)
}

/// The versions in a text, from the left.
struct Versions<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Iterator for Versions<'a> {
    type Item = Found<'a>;

    fn next(&mut self) -> Option<Found<'a>> {
        loop {
            let rest = self.text.get(self.at..)?;
            let start = self
                .at
                .checked_add(rest.find(|c: char| c.is_ascii_digit())?)?;
            let (before, tail) = self.text.split_at_checked(start)?;
            let (core_len, numbers_len) = numbers(tail);
            let mut cursor = Cursor(tail.get(numbers_len..)?);
            if core_len == 0 {
                self.at = start.checked_add(numbers_len)?;
                continue;
            }
            let pre_release = cursor.part('-');
            let build = cursor.part('+');
            self.at = self.text.len().checked_sub(cursor.0.len())?;
            let without_v = before.trim_end_matches(['v', 'V']);
            return Some(Found {
                before: without_v,
                has_v: without_v.len() < before.len(),
                core: tail.get(..core_len)?,
                pre_release,
                build,
            });
        }
    }
}

/// How long the version is that a text begins with, 0 if there is none, and how long the dotted
/// numbers are that it is the beginning of.
fn numbers(text: &str) -> (usize, usize) {
    let digits = |at: usize| {
        let rest = text.get(at..).unwrap_or_default();
        rest.find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len())
    };
    let (mut count, mut core, mut end) = (1_u32, 0, digits(0));
    while text.get(end..).is_some_and(|rest| rest.starts_with('.')) {
        let number = end.saturating_add(1);
        let len = digits(number);
        if len == 0 {
            break;
        }
        end = number.saturating_add(len);
        count = count.saturating_add(1);
        if count <= 3 {
            core = end;
        }
    }
    (core, end)
}

/// What follows after the numbers.
struct Cursor<'a>(&'a str);

impl<'a> Cursor<'a> {
    /// The part that a sign begins, without the sign and without the name of an architecture.
    fn part(&mut self, sign: char) -> Option<&'a str> {
        let rest = self.0.strip_prefix(sign)?;
        let len = rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || "._-".contains(c)))
            .unwrap_or(rest.len());
        let (part, rest) = rest.split_at_checked(len)?;
        self.0 = rest;
        let part = ["x86_64", "aarch64"]
            .iter()
            .find_map(|arch| part.strip_suffix(arch))
            .unwrap_or(part)
            .trim_end_matches(['.', '-', '_']);
        (!part.is_empty()).then_some(part)
    }
}
