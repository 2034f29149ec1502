//! Bindings with their values, and what a guest's drives have of them.

use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry;
use alloc::string::String;
use alloc::vec::Vec;

use serde::Serialize;
use thiserror_no_std::Error;

use super::{EnvVar, HeaderName, SecretBinding, SecretText, SecretValue, TargetHost, placeholder};
use crate::fleet::document::{At, Field, Problems, Reason, document};
use crate::fleet::text::TextError;
use crate::fleet::vm_backend::{FileName, VmFile};

document! {
    @derive(Debug, serde::Serialize)
    /// A binding and its value. Its JSON has the value in it.
    pub struct ResolvedBinding {
        /// The variable that the guest sees.
        env_var: EnvVar,
        /// Where the secret may be sent.
        target_host: TargetHost,
        /// The header that carries it.
        header: HeaderName,
        /// The secret.
        value: SecretValue,
    }
}

document! {
    @derive(Debug, serde::Serialize)
    /// The secrets of a guest. Their JSON has the values in it.
    ///
    /// No two of them have the same file: [`EnvVar::file_name`] makes one name of `API_KEY` and `api.key`.
    pub struct ResolvedSecrets rules(one_file_each) {
        /// The bindings.
        bindings: Vec<ResolvedBinding>,
    }
}

fn one_file_each(raw: &<ResolvedSecrets as Field>::Raw<'_>, at: &At<'_>, problems: &mut Problems) {
    let mut seen = BTreeMap::new();
    let bindings = at.member("bindings");
    for (index, binding) in raw.bindings.iter().enumerate() {
        let Ok(env_var) = EnvVar::new(&binding.env_var) else {
            continue;
        };
        match seen.entry(env_var.file_name()) {
            Entry::Vacant(vacant) => {
                vacant.insert(index);
            }
            Entry::Occupied(first) => {
                let first = bindings.item(*first.get()).member("env_var").path();
                let item = bindings.item(index);
                problems.add(&item.member("env_var"), Reason::Duplicate { first });
            }
        }
    }
}

/// Why secrets are not resolved.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// There is no value.
    #[error("{env_var} is not set, and the binding has no value")]
    NotSet {
        /// The variable.
        env_var: EnvVar,
    },
    /// The variable's value is none that a header can carry.
    #[error("the value of {env_var} cannot stand in a header: {error}")]
    Value {
        /// The variable.
        env_var: EnvVar,
        /// What is wrong with it.
        error: TextError,
    },
    /// Two variables have one file.
    #[error("{first} and {second} have the same file, {}", .first.file_name())]
    SameFile {
        /// The first.
        first: EnvVar,
        /// The second.
        second: EnvVar,
    },
}

impl_error!(ResolveError);

impl ResolvedSecrets {
    /// Takes bindings over and finds the values that they do not have; `env` is asked for a variable.
    ///
    /// # Errors
    /// [`ResolveError`] of the first binding that has one.
    ///
    /// ```
    /// use mvm_core::secret_binding::{ResolvedSecrets, SecretBinding};
    ///
    /// let binding: SecretBinding = "API_KEY:api.example.org".parse()?;
    /// let secrets = ResolvedSecrets::resolve(vec![binding], |name| {
    ///     (name == "API_KEY").then(|| "sk-1".to_owned())
    /// })?;
    /// assert_eq!(secrets.bindings[0].value.secret_str(), "sk-1");
    /// assert_eq!(
    ///     secrets.placeholder_env_vars(),
    ///     [("API_KEY".to_owned(), "mvm-managed:API_KEY".to_owned())]
    /// );
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn resolve(
        bindings: Vec<SecretBinding>,
        mut env: impl FnMut(&str) -> Option<String>,
    ) -> Result<Self, ResolveError> {
        let mut files: BTreeMap<String, EnvVar> = BTreeMap::new();
        let mut resolved = Vec::with_capacity(bindings.len());
        for binding in bindings {
            let SecretBinding {
                env_var,
                target_host,
                header,
                value,
            } = binding;
            if let Some(first) = files.insert(env_var.file_name(), env_var.clone()) {
                let second = env_var;
                return Err(ResolveError::SameFile { first, second });
            }
            let value = match value {
                Some(value) => value,
                None => match env(&env_var) {
                    None => return Err(ResolveError::NotSet { env_var }),
                    Some(text) => match SecretValue::new(text) {
                        Ok(value) => value,
                        Err(error) => return Err(ResolveError::Value { env_var, error }),
                    },
                },
            };
            resolved.push(ResolvedBinding {
                env_var,
                target_host,
                header,
                value,
            });
        }
        Ok(Self { bindings: resolved })
    }

    /// The files of the secrets drive: one for each binding, readable by their owner only, with a JSON
    /// object of `env_var`, `header`, `target_host` and `value`.
    #[must_use]
    pub fn to_secret_files(&self) -> Vec<VmFile> {
        self.bindings
            .iter()
            .filter_map(|binding| {
                // The name of a variable makes a name of a file.
                let name = FileName::new(&binding.env_var.file_name()).ok()?;
                Some(VmFile::secret(name, binding.file()))
            })
            .collect()
    }

    /// The guest's environment: for each variable its placeholder, so that tools which look whether it is
    /// set find it.
    #[must_use]
    pub fn placeholder_env_vars(&self) -> Vec<(String, String)> {
        self.bindings
            .iter()
            .map(|binding| {
                let env_var = &binding.env_var;
                (env_var.as_str().into(), placeholder(env_var))
            })
            .collect()
    }

    /// Which secret is bound to which host, as JSON for the config drive. It has no values.
    #[must_use]
    pub fn manifest_json(&self) -> String {
        #[derive(Serialize)]
        struct Bound<'a> {
            env_var: &'a EnvVar,
            header: &'a HeaderName,
            secret_file: String,
            target_host: &'a TargetHost,
        }

        let entries: Vec<_> = self
            .bindings
            .iter()
            .map(|binding| Bound {
                env_var: &binding.env_var,
                header: &binding.header,
                secret_file: binding.env_var.file_name(),
                target_host: &binding.target_host,
            })
            .collect();
        // Texts in a list can be written.
        serde_json::to_string_pretty(&entries).unwrap_or_default()
    }
}

impl ResolvedBinding {
    /// The JSON of the secret's file, written into one buffer: one that grows leaves copies behind.
    fn file(&self) -> SecretText {
        let value = self.value.secret_str();
        let plain = [
            ("{\"env_var\":\"", self.env_var.as_str()),
            ("\",\"header\":\"", self.header.as_str()),
            ("\",\"target_host\":\"", self.target_host.as_str()),
        ];
        let before = plain.iter().fold(64, |sum: usize, (name, text)| {
            sum.saturating_add(name.len()).saturating_add(text.len())
        });
        let mut json = String::with_capacity(before.saturating_add(value.len().saturating_mul(2)));
        for (name, text) in plain {
            json.push_str(name);
            json.push_str(text);
        }
        json.push_str("\",\"value\":\"");
        // A value has no control characters, and the other texts have none of these two.
        for character in value.chars() {
            if matches!(character, '"' | '\\') {
                json.push('\\');
            }
            json.push(character);
        }
        json.push_str("\"}");
        SecretText::new(json)
    }
}
