//! `hostd ping`.

use core::time::Duration;
use std::process::ExitCode;
use std::time::Instant;

use mvm_core::protocol::{
    Client, ClientError, ClientFault, ClientOptions, ClientStep, Deadline, HostdRequest,
    HostdResponse,
};
use serde_json::{Value, json};

use super::PingArgs;
use crate::failure::Failure;
use crate::style::{BAD, BOLD, DIM, GOOD, visible};

/// What is known so far: it is told whatever comes next.
#[derive(Default)]
struct Found {
    client: Option<Client>,
    times: Vec<Duration>,
}

pub(super) fn run(args: &PingArgs, json: bool) -> ExitCode {
    let mut found = Found::default();
    let result = found.ask(args);
    let socket = visible(&args.socket.display().to_string());
    found.times.sort();
    let version = found.client.as_ref().and_then(Client::version);
    let server = found.client.as_ref().and_then(Client::server);
    let server = server.map_or(
        Value::Null,
        |peer| json!({ "uid": peer.uid, "gid": peer.gid, "pid": peer.pid }),
    );
    let [min, median, max] = found.spread().map(|time| time.map(microseconds));
    let times = match found.times.len() {
        0 => Value::Null,
        count => json!({ "count": count, "min": min, "median": median, "max": max }),
    };
    match result {
        Ok(()) if json => {
            let document = json!({
                "ok": true, "socket": args.socket, "version": version, "server": server,
                "round_trip_us": times, "error": null,
            });
            outln!("{document:#}");
            ExitCode::SUCCESS
        }
        Ok(()) => {
            let version = version.map_or_else(String::new, |version| version.to_string());
            let who = found.client.as_ref().and_then(Client::server);
            let who = who.map_or_else(String::new, |peer| peer.to_string());
            outln!(
                "{GOOD}hostd answers{GOOD:#} at {BOLD}{socket}{BOLD:#}: version {version}, {who}"
            );
            let count = found.times.len();
            let [min, median, max] = [min, median, max].map(Option::unwrap_or_default);
            outln!("{DIM}{count} round trips: {min} to {max} microseconds, median {median}{DIM:#}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            if !json && let Some(version) = version {
                let count = found.times.len();
                outln!(
                    "{BAD}hostd fails{BAD:#} at {BOLD}{socket}{BOLD:#}: version {version}, {count} answers"
                );
            }
            failure
                .with("socket", json!(args.socket))
                .with("version", version)
                .with("server", server)
                .with("round_trip_us", times)
                .tell(json)
        }
    }
}

impl Found {
    fn ask(&mut self, args: &PingArgs) -> Result<(), Failure> {
        let deadline = Deadline::after_millis(args.timeout_ms);
        // A connection that ends is a finding, and not to be made anew.
        let mut options = ClientOptions::new().without_reconnect();
        if let Some(uid) = args.uid {
            options = options.with_server_uid(uid);
        }
        let client = Client::connect(&args.socket, options, deadline).map_err(failed)?;
        let client = self.client.insert(client);
        for _ in 0..args.count {
            let start = Instant::now();
            match client.call(HostdRequest::Ping, deadline).map_err(failed)? {
                HostdResponse::Pong => self.times.push(start.elapsed()),
                HostdResponse::Error { message } => return Err(Failure::no(message)),
                HostdResponse::Ok => {
                    return Err(Failure::no("the answer to a ping is no pong"));
                }
            }
        }
        Ok(())
    }

    /// Least, median and greatest.
    fn spread(&self) -> [Option<Duration>; 3] {
        let times = &self.times;
        let middle = times.len() / 2;
        [times.first(), times.get(middle), times.last()].map(Option::<&Duration>::copied)
    }
}

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Somebody was there, or nobody.
fn failed(error: ClientError) -> Failure {
    let nobody = matches!(
        error.fault,
        ClientFault::Io { .. }
            | ClientFault::Expired {
                step: ClientStep::Connecting
            }
    );
    if nobody {
        return Failure::untried(error);
    }
    // Seen while something was asked, or before it.
    let refused = matches!(error.fault, ClientFault::Closed { .. } | ClientFault::Ended);
    if refused {
        let hint = "it may not let this user in, or have as many connections as it may";
        return Failure::no(format_args!("{error} ({hint})"));
    }
    Failure::no(error)
}
