//! 0.13.0's layout, which the environment has a part in.

use super::FleetLayout;
use crate::host::config::{DirectoryError, Settings, Variables};

impl<V: Variables> Settings<V> {
    /// 0.13.0's layout: tenants in `/var/lib/mvm`, templates in the user's data directory, networks in the
    /// user's share directory.
    ///
    /// # Errors
    /// [`DirectoryError`] where one of the two directories is not known.
    ///
    /// ```
    /// use mvm_core::config::Settings;
    /// use mvm_core::{id, naming::TemplateId};
    ///
    /// # #[cfg(unix)] {
    /// let settings = Settings::new(|name: &str| (name == "HOME").then(|| "/home/op".into()));
    /// let layout = settings.fleet_layout()?;
    /// assert_eq!(
    ///     layout.template_dir(&id!(TemplateId, "web")).to_str(),
    ///     Some("/home/op/.mvm/templates/web"),
    /// );
    /// # }
    /// # Ok::<(), mvm_core::config::DirectoryError>(())
    /// ```
    pub fn fleet_layout(&self) -> Result<FleetLayout, DirectoryError> {
        Ok(FleetLayout {
            templates: self.templates_base_dir()?,
            networks: self.networks_dir()?,
            ..FleetLayout::default()
        })
    }
}

impl FleetLayout {
    /// 0.13.0's layout, by the environment of the process.
    ///
    /// # Errors
    /// As [`Settings::fleet_layout`].
    pub fn of_process() -> Result<Self, DirectoryError> {
        Settings::of_process().fleet_layout()
    }
}
