//! Documents: what is wrong with one, and what follows from one.

mod input;
mod kinds;
mod plan;
mod report;
mod toml;

use core::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use mvm_core::routing::RoutingTable;
use serde_json::{Value, json};

pub(crate) use self::plan::{PlanArgs, plan};

use crate::output;
use crate::progress::Progress;

pub(crate) use self::input::Input;
pub(crate) use self::kinds::Kind;
pub(crate) use self::report::Report;

/// Exit codes of what did not hold, and of what could not be tried.
const FAILED: u8 = 1;
const UNREADABLE: u8 = 2;

/// In which notation a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Json,
    Toml,
}

#[derive(Args)]
pub(crate) struct CheckArgs {
    /// The type of the document.
    #[arg(value_name = "TYPE", value_parser = kind_parser())]
    kind: &'static Kind,
    /// The file; `-` for standard input.
    #[arg(default_value = "-")]
    file: PathBuf,
    /// The notation. By default TOML if the file's name ends in `.toml`, and JSON otherwise.
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Take warnings (members that are not known, and ignored) for problems.
    #[arg(long)]
    deny_warnings: bool,
}

pub(crate) fn kind_parser() -> impl TypedValueParser<Value = &'static Kind> {
    PossibleValuesParser::new(kinds::names())
        .try_map(|name| kinds::find(&name).ok_or("there is no such type"))
}

#[derive(Args)]
pub(crate) struct RouteArgs {
    /// The file of the routing table; `-` for standard input.
    table: PathBuf,
    /// The port that is connected to.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// The path that is asked for.
    #[arg(long, default_value = "/")]
    path: String,
    /// The address that asks.
    #[arg(long)]
    source: IpAddr,
}

pub(crate) fn check(args: &CheckArgs, json: bool) -> ExitCode {
    let input = match Input::read(&args.file) {
        Ok(input) => input,
        Err(error) => return unreadable(args.kind.type_name(), &args.file, &error, json),
    };
    let by_name = args.file.extension().is_some_and(|end| end == "toml");
    let format = args
        .format
        .unwrap_or(if by_name { Format::Toml } else { Format::Json });
    let progress = Progress::at_once("checking", input.bytes().len());
    let report = match format {
        Format::Json => args.kind.check(input.bytes()),
        Format::Toml => toml::check(args.kind, input.bytes()),
    };
    drop(progress);
    let ok = report.is_ok(args.deny_warnings);
    if json {
        print_json(&report.to_json(input.name(), ok));
    } else {
        report.show(input.name(), ok, output::line);
    }
    exit(ok)
}

pub(crate) fn route(args: &RouteArgs, json: bool) -> ExitCode {
    let name = "RoutingTable";
    let input = match Input::read(&args.table) {
        Ok(input) => input,
        Err(error) => return unreadable(name, &args.table, &error, json),
    };
    let (table, report) = Report::of::<RoutingTable>(input.bytes());
    let index = table.and_then(|table| table.compile().ok());
    let Some(index) = index else {
        if json {
            print_json(&report.to_json(input.name(), false));
        } else {
            report.show(input.name(), false, output::line);
        }
        return ExitCode::from(FAILED);
    };
    let position = index.position(args.port, &args.path, args.source);
    let found = position.and_then(|at| index.routes().get(at).map(|route| (at, route)));
    if json {
        let (at, route) = found.map_or((Value::Null, Value::Null), |(at, route)| {
            (at.into(), json!(route))
        });
        print_json(&json!({ "ok": found.is_some(), "index": at, "route": route }));
    } else {
        report::show_route(found);
    }
    exit(found.is_some())
}

const fn exit(ok: bool) -> ExitCode {
    if ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn print_json(value: &Value) {
    outln!("{value:#}");
}

/// A file that could not be read.
fn unreadable(kind: &str, file: &std::path::Path, error: &std::io::Error, json: bool) -> ExitCode {
    let file = input::name_of(file);
    if json {
        let error = error.to_string();
        print_json(&json!({ "ok": false, "type": kind, "file": file, "error": error }));
    } else {
        report::show_unreadable(&file, error);
    }
    ExitCode::from(UNREADABLE)
}
