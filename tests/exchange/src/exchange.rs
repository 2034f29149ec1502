//! One document there and back.

use std::fmt::Debug;

use mvm_core::document::{Document, Invalid};
use proptest::collection::vec;
use proptest::prelude::any as any_number;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::source::{Any, Source};

/// How many documents, and which.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// How many of each type and direction.
    pub cases: u32,
    /// Others with another one.
    pub seed: u64,
}

impl Effort {
    /// `EXCHANGE_CASES` and `EXCHANGE_SEED`; 200 and 0 without.
    pub fn from_environment() -> Self {
        let number = |name, default| match std::env::var(name) {
            Ok(text) => text.parse().expect("a number"),
            Err(_) => default,
        };
        Self {
            cases: u32::try_from(number("EXCHANGE_CASES", 200)).expect("not that many"),
            seed: number("EXCHANGE_SEED", 0),
        }
    }

    fn each(
        self,
        mut check: impl FnMut(&mut Source<'_>) -> Result<(), String>,
    ) -> Result<(), String> {
        let config = Config {
            cases: self.cases,
            failure_persistence: None,
            max_shrink_iters: 20_000,
            ..Config::default()
        };
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.seed.to_le_bytes());
        let random = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
        let check = std::cell::RefCell::new(&mut check);
        TestRunner::new_with_rng(config, random)
            .run(&vec(any_number::<u64>(), 0..600), |numbers| {
                (check.borrow_mut())(&mut Source::new(&numbers)).map_err(TestCaseError::fail)
            })
            .map_err(|error| error.to_string())
    }
}

/// What went over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// Documents.
    pub documents: u64,
    /// Of them, those that this crate's `from_json` accepts: they break no rule between values.
    pub valid: u64,
    /// The longest, in bytes.
    pub longest: usize,
}

impl Seen {
    fn add(&mut self, json: &str, valid: bool) {
        self.documents += 1;
        self.valid += u64::from(valid);
        self.longest = self.longest.max(json.len());
    }
}

fn write<T: Serialize>(who: &str, value: &T) -> Result<String, String> {
    serde_json::to_string(value).map_err(|error| format!("{who} does not write it: {error}"))
}

fn read<T: DeserializeOwned>(who: &str, json: &str) -> Result<T, String> {
    serde_json::from_str(json).map_err(|error| format!("{who} does not read it: {error}\n{json}"))
}

fn same<T: PartialEq + Debug>(what: &str, one: T, other: T) -> Result<(), String> {
    if one == other {
        return Ok(());
    }
    Err(format!("{what}:\n  {one:?}\n  {other:?}"))
}

const OURS: &str = "the new one";
const THEIRS: &str = "0.13.0";

/// Whether two values are the same.
pub type Equal<O> = fn(&O, &O) -> bool;

/// Values of ours: 0.13.0 reads them and writes the same bytes, in which we read the same value.
pub fn ours<O, T>(effort: Effort, equal: Equal<O>) -> Result<Seen, String>
where
    O: Any + Document + Debug,
    T: Serialize + DeserializeOwned,
{
    let mut seen = Seen::default();
    effort.each(|source| {
        let value = O::any(source);
        let json = write(OURS, &value)?;
        let back = write(THEIRS, &read::<T>(THEIRS, &json)?)?;
        same("0.13.0 writes something else", &json, &back)?;
        let again: O = read(OURS, &back)?;
        if !equal(&value, &again) {
            return Err(format!(
                "another value comes back:\n  {value:?}\n  {again:?}\n  {json}"
            ));
        }
        seen.add(&json, rules(&json, &value, equal)?);
        Ok(())
    })?;
    Ok(seen)
}

/// Values of 0.13.0: we read them and write the same, time stamps in one form, in which 0.13.0 reads the
/// same.
pub fn theirs<O, T>(effort: Effort, equal: Equal<O>) -> Result<Seen, String>
where
    O: Document + Debug,
    T: Any + Serialize + DeserializeOwned,
{
    let mut seen = Seen::default();
    effort.each(|source| {
        let json = write(THEIRS, &T::any(source))?;
        let ours: O = read(OURS, &json)?;
        let back = write(OURS, &ours)?;
        let again = write(THEIRS, &read::<T>(THEIRS, &back)?)?;
        same(
            "0.13.0 reads something else than was written",
            &back,
            &again,
        )?;
        same(
            "another document comes back",
            instants(&json),
            instants(&back),
        )?;
        seen.add(&json, rules(&json, &ours, equal)?);
        Ok(())
    })?;
    Ok(seen)
}

/// Documents of 0.13.0 with members left out, `null` or unknown: we accept the same ones, and make the same
/// of them. So the defaults are the same too.
pub fn changed<O, T>(effort: Effort, equal: Equal<O>) -> Result<Seen, String>
where
    O: Document + Debug,
    T: Any + Serialize + DeserializeOwned,
{
    let mut seen = Seen::default();
    effort.each(|source| {
        let mut value = serde_json::to_value(T::any(source)).map_err(|error| error.to_string())?;
        for _ in 0..1 + source.below(3) {
            change(source, &mut value);
        }
        let json = value.to_string();
        let theirs: Result<T, String> = read(THEIRS, &json);
        let ours: Result<O, String> = read(OURS, &json);
        let (theirs, ours) = match (theirs, ours) {
            (Ok(theirs), Ok(ours)) => (theirs, ours),
            (Err(_), Err(_)) => return Ok(()),
            (Err(error), Ok(_)) | (Ok(_), Err(error)) => {
                return Err(format!("only one reads it: {error}"));
            }
        };
        let (theirs, ours) = (write(THEIRS, &theirs)?, write(OURS, &ours)?);
        same(
            "they are read as different documents",
            instants(&theirs),
            instants(&ours),
        )?;
        // What is written needs no default.
        let again: O = read(OURS, &ours)?;
        seen.add(&json, rules(&ours, &again, equal)?);
        Ok(())
    })?;
    Ok(seen)
}

/// Changes one object somewhere in a document.
fn change(source: &mut Source<'_>, value: &mut Value) {
    // Deeper, or here.
    let deeper = source.below(3) != 0;
    match value {
        Value::Array(items) if !items.is_empty() => {
            let item = source.below(items.len());
            change(source, &mut items[item]);
        }
        Value::Object(members) => {
            if members.is_empty() || source.below(5) == 1 {
                members.insert("no_such_member".into(), "text".into());
                return;
            }
            let name = members
                .keys()
                .nth(source.below(members.len()))
                .expect("below")
                .clone();
            let member = &mut members[&name];
            if deeper && (member.is_object() || member.is_array()) {
                change(source, member);
            } else if source.below(4) == 1 {
                *member = Value::Null;
            } else {
                members.remove(&name);
            }
        }
        _ => {}
    }
}

/// Whether a document breaks no rule between values. Our own ways to read agree on it: `from_json` and
/// `check_json` accept what `Deserialize` does and `validate` finds right, and nothing else.
fn rules<O: Document + Debug>(json: &str, value: &O, equal: Equal<O>) -> Result<bool, String> {
    let whole = O::from_json(json.as_bytes());
    let checked = O::check_json(json.as_bytes());
    let valid = value.validate();
    same(
        "validate disagrees with from_json",
        &valid.is_ok(),
        &whole.is_ok(),
    )?;
    same(
        "check_json disagrees with from_json",
        &checked.result.is_ok(),
        &whole.is_ok(),
    )?;
    same("there are warnings", &checked.warnings, &Vec::new())?;
    match (whole, valid) {
        (Ok(whole), _) if equal(&whole, value) => Ok(true),
        (Err(whole), Err(valid)) => same(
            "validate finds something else",
            texts(&whole),
            texts(&valid),
        )
        .map(|()| false),
        (whole, _) => Err(format!(
            "from_json gives another value:\n  {whole:?}\n  {value:?}"
        )),
    }
}

fn texts(invalid: &Invalid) -> Vec<String> {
    invalid
        .problems()
        .iter()
        .map(|problem| problem.to_string())
        .collect()
}

/// A document whose time stamps are numbers, so that only what they mean is compared.
fn instants(json: &str) -> Value {
    fn change(value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Ok(time) = chrono::DateTime::parse_from_rfc3339(text) {
                    *value = format!(
                        "{} s {} ns",
                        time.timestamp(),
                        time.timestamp_subsec_nanos()
                    )
                    .into();
                }
            }
            Value::Array(items) => items.iter_mut().for_each(change),
            Value::Object(members) => members.values_mut().for_each(change),
            _ => {}
        }
    }
    let mut value = serde_json::from_str(json).expect("it was read before");
    change(&mut value);
    value
}

/// What the two make of one text.
#[derive(Debug)]
pub struct Both {
    /// Whether 0.13.0 reads it.
    pub theirs: Result<(), String>,
    /// What we find, as `path: reason`; nothing where it is accepted.
    pub ours: Vec<String>,
}

/// [`Both`] of a [`Document`].
pub fn both<O: Document, T: DeserializeOwned>(json: &str) -> Both {
    Both {
        theirs: read::<T>(THEIRS, json).map(drop),
        ours: O::from_json(json.as_bytes())
            .err()
            .as_ref()
            .map(texts)
            .unwrap_or_default(),
    }
}
