//! What is made from the description of the commands: completions for shells, and manual pages.

use core::fmt::Display;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;
use serde_json::json;

use crate::output;

#[derive(Args)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Args)]
pub(crate) struct ManArgs {
    /// Write one page for each command into this directory, which is created if there is none.
    #[arg(long, value_name = "DIR")]
    out_dir: Option<PathBuf>,
}

pub(crate) fn completions(args: &CompletionsArgs, mut command: Command, json: bool) -> ExitCode {
    let name = command.get_name().to_owned();
    // In memory first: the generator panics where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    if json {
        let script = String::from_utf8_lossy(&script);
        outln!(
            "{:#}",
            json!({ "ok": true, "shell": args.shell.to_string(), "script": script })
        );
    } else {
        output::bytes(&script);
    }
    ExitCode::SUCCESS
}

pub(crate) fn man(args: &ManArgs, mut command: Command, json: bool) -> ExitCode {
    // `help` would have a page for each command once more. Names and usages are known once it is built.
    command = command.disable_help_subcommand(true);
    command.build();
    let Some(directory) = &args.out_dir else {
        return match page(&command) {
            Ok(page) if json => {
                let page = String::from_utf8_lossy(&page);
                outln!("{:#}", json!({ "ok": true, "page": page }));
                ExitCode::SUCCESS
            }
            Ok(page) => {
                output::bytes(&page);
                ExitCode::SUCCESS
            }
            Err(error) => failed(&error, json),
        };
    };
    let mut files = Vec::new();
    let written =
        fs::create_dir_all(directory).and_then(|()| pages(&command, directory, &mut files));
    if let Err(error) = written {
        return failed(&format_args!("{}: {error}", directory.display()), json);
    }
    if json {
        outln!("{:#}", json!({ "ok": true, "files": files }));
    } else {
        for file in files {
            outln!("{}", file.display());
        }
    }
    ExitCode::SUCCESS
}

fn page(command: &Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(command.clone()).render(&mut page)?;
    Ok(page)
}

/// The pages of a command and of all below it that are not hidden.
fn pages(command: &Command, directory: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let file = directory.join(Man::new(command.clone()).get_filename());
    fs::write(&file, page(command)?)?;
    files.push(file);
    command
        .get_subcommands()
        .filter(|below| !below.is_hide_set())
        .try_for_each(|below| pages(below, directory, files))
}

fn failed(error: &dyn Display, json: bool) -> ExitCode {
    if json {
        outln!("{:#}", json!({ "ok": false, "error": error.to_string() }));
    } else {
        errln!("mvm-core man: {error}");
    }
    ExitCode::from(2)
}
