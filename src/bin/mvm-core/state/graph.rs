//! The state machine as a picture.

use alloc::string::String;
use core::fmt::Write;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use mvm_core::instance::{InstanceAction, InstanceStatus, write_mermaid};
use serde_json::{Value, json};

#[derive(Args)]
pub(super) struct GraphArgs {
    /// The notation.
    #[arg(long, value_enum, default_value_t = Notation::Mermaid)]
    format: Notation,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Notation {
    /// Mermaid's stateDiagram-v2, which Markdown viewers draw.
    Mermaid,
    /// Graphviz.
    Dot,
}

fn edges() -> impl Iterator<Item = (InstanceStatus, InstanceStatus, Option<InstanceAction>)> {
    InstanceStatus::ALL.into_iter().flat_map(|from| {
        from.successors()
            .map(move |to| (from, to, InstanceAction::of(from, to)))
    })
}

pub(super) fn draw(args: &GraphArgs, json: bool) -> ExitCode {
    let mut graph = String::new();
    // Writing to a `String` does not fail.
    let (name, _) = match args.format {
        Notation::Mermaid => ("mermaid", write_mermaid(&mut graph)),
        Notation::Dot => ("dot", write_dot(&mut graph)),
    };
    if json {
        let edges: Vec<Value> = edges()
            .map(|(from, to, action)| json!({ "from": from, "to": to, "action": action }))
            .collect();
        outln!(
            "{:#}",
            json!({ "ok": true, "format": name, "graph": graph, "edges": edges })
        );
    } else {
        outln!("{}", graph.trim_end());
    }
    ExitCode::SUCCESS
}

fn write_dot(out: &mut String) -> core::fmt::Result {
    out.write_str("digraph instance {\n    start [shape=point];\n    start -> created;\n")?;
    for (from, to, action) in edges() {
        let label = action.map_or("Build", InstanceAction::as_str);
        writeln!(out, "    {from} -> {to} [label=\"{label}\"];")?;
    }
    out.write_str("}\n")
}
