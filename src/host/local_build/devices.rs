//! Bridges and TAP devices, by `ip`.
//!
//! Every name is one of the crate's own types, and every argument one of its own: nothing here can be an
//! option or a second argument.

use super::LocalBuildEnvironment;
use super::link::Link;
use crate::fleet::tenant::TenantNet;
use crate::host::build_env::{
    BuildError, CommandSpec, Exit, LinkProblem, ShellEnvironment, ShellError,
};
use crate::names::{BridgeName, TapName};

/// What `ip` says of a device that is not there; last, of one that went while it was asked for.
const NO_DEVICE: [&str; 3] = ["does not exist", "Cannot find device", "No such device"];

impl<S: ShellEnvironment> LocalBuildEnvironment<S> {
    fn run(&self, command: &CommandSpec) -> Result<(), BuildError> {
        self.shell.exec(command)?;
        Ok(())
    }

    /// The device of a name, if there is one, and `problem` with what is said of it.
    fn link(
        &self,
        name: &str,
        problem: impl Fn(LinkProblem) -> BuildError,
    ) -> Result<Option<Link>, BuildError> {
        let show = self.ip(["-json", "-details", "link", "show", "dev", name]);
        match self.shell.exec(&show) {
            Ok(output) => Link::read(output.stdout.bytes(), name)
                .map(Some)
                .map_err(problem),
            Err(ShellError::Failed { output, .. })
                if output.exit == Exit::Code(1)
                    && NO_DEVICE
                        .iter()
                        .any(|words| output.stderr.text().contains(words)) =>
            {
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn bridge_up(&self, net: &TenantNet) -> Result<(), BuildError> {
        let bridge = &net.bridge_name;
        let problem = |problem| BuildError::Bridge {
            bridge: bridge.clone(),
            problem,
        };
        let created = match self.link(bridge, problem)? {
            Some(link) => {
                link.check_bridge().map_err(problem)?;
                false
            }
            None => {
                let add = self.ip(["link", "add", "name", bridge, "type", "bridge"]);
                match self.run(&add) {
                    Ok(()) => true,
                    // Somebody else was faster.
                    Err(error) => match self.link(bridge, problem)? {
                        Some(link) => {
                            link.check_bridge().map_err(problem)?;
                            false
                        }
                        None => return Err(error),
                    },
                }
            }
        };
        let address = alloc::format!("{}/{}", net.gateway_ip, net.ipv4_subnet.net().prefix_len());
        // It is added, or is what it was.
        let address = self.ip(["address", "replace", &address, "dev", bridge]);
        let up = self.ip(["link", "set", "dev", bridge, "up"]);
        let result = self.run(&address).and_then(|()| self.run(&up));
        self.undo_if(created, bridge, result)
    }

    pub(super) fn tap_up(&self, tap: &TapName, bridge: &BridgeName) -> Result<(), BuildError> {
        let problem = |problem| BuildError::Tap {
            tap: tap.clone(),
            problem,
        };
        let (net, _) = tap.parts();
        if bridge.net() != net {
            return Err(problem(LinkProblem::OtherNetwork {
                bridge: bridge.clone(),
            }));
        }
        match self.link(bridge, problem)? {
            Some(link) => link.check_bridge().map_err(|problem| BuildError::Bridge {
                bridge: bridge.clone(),
                problem,
            })?,
            None => {
                return Err(problem(LinkProblem::NoBridge {
                    bridge: bridge.clone(),
                }));
            }
        }
        let check = |link: Link| {
            link.check_tap()
                .and_then(|()| link.check_master(bridge))
                .map_err(problem)
        };
        let created = match self.link(tap, problem)? {
            Some(link) => {
                check(link)?;
                false
            }
            None => match self.run(&self.ip(["tuntap", "add", "dev", tap, "mode", "tap"])) {
                Ok(()) => true,
                // Somebody else was faster.
                Err(error) => match self.link(tap, problem)? {
                    Some(link) => {
                        check(link)?;
                        false
                    }
                    None => return Err(error),
                },
            },
        };
        let join = self.ip(["link", "set", "dev", tap, "master", bridge]);
        let up = self.ip(["link", "set", "dev", tap, "up"]);
        let result = self.run(&join).and_then(|()| self.run(&up));
        self.undo_if(created, tap, result)
    }

    pub(super) fn tap_gone(&self, tap: &TapName) -> Result<(), BuildError> {
        let problem = |problem| BuildError::Tap {
            tap: tap.clone(),
            problem,
        };
        let Some(link) = self.link(tap, problem)? else {
            return Ok(());
        };
        link.check_tap().map_err(problem)?;
        let Err(error) = self.run(&self.ip(["link", "delete", "dev", tap])) else {
            return Ok(());
        };
        match self.link(tap, problem)? {
            Some(_) => Err(error),
            // Somebody else was faster.
            None => Ok(()),
        }
    }

    /// Removes a device that was created and could not be finished. What counts is why it could not.
    fn undo_if(
        &self,
        created: bool,
        name: &str,
        result: Result<(), BuildError>,
    ) -> Result<(), BuildError> {
        if let (true, Err(_)) = (created, &result)
            && let Err(error) = self.run(&self.ip(["link", "delete", "dev", name]))
        {
            self.log_warn(&alloc::format!("{name} is left unfinished: {error}"));
        }
        result
    }
}
