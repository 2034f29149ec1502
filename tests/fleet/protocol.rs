//! hostd's protocol: its messages, its frames, and which version is spoken.

use core::time::Duration;

use mvm_core::document::Document;
use mvm_core::limits::{
    FRAME_HEADER_LEN, HOSTD_BUFFER_KEPT, HOSTD_BUFFER_LEN, HOSTD_FRAME_MAX, HOSTD_MESSAGE_MAX,
    HOSTD_PENDING_MAX,
};
use mvm_core::protocol::*;
use mvm_core::wire::frame::FrameError;
use proptest::prelude::*;
use serde_json::Value;

use crate::vectors::{Counts, assert_type, behaviour, text};

const fn counts(json: usize, min: usize, bad: usize, badid: usize) -> Counts {
    Counts {
        json,
        min,
        bad,
        badid,
    }
}

#[test]
fn documents() {
    assert_type::<HostdRequest>("HostdRequest", counts(22, 17, 111, 34));
    assert_type::<HostdResponse>("HostdResponse", counts(5, 2, 17, 0));
    for row in behaviour("constants", 10) {
        if text(&row, "name") == "protocol::HOSTD_SOCKET_PATH" {
            assert_eq!(text(&row, "value"), HOSTD_SOCKET_PATH);
            return;
        }
    }
    panic!("no constant");
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

/// Everything up to the end of `stream`, in reads of `step` bytes at most; never more memory than may be.
fn read_all(mut stream: &[u8], step: usize) -> (Vec<Vec<u8>>, Result<(), FrameError>) {
    let mut frames = Frames::new();
    let mut bodies = Vec::new();
    loop {
        loop {
            match frames.next_body() {
                Ok(Some(body)) => bodies.push(body.to_vec()),
                Ok(None) => break,
                Err(error) => {
                    assert!(frames.space().is_empty());
                    assert_eq!(frames.finish(), Err(error));
                    return (bodies, Err(error));
                }
            }
        }
        let space = frames.space();
        assert!(!space.is_empty() && space.len() <= HOSTD_FRAME_MAX + FRAME_HEADER_LEN);
        let n = step.min(space.len()).min(stream.len());
        space[..n].copy_from_slice(&stream[..n]);
        frames.advance(n);
        stream = &stream[n..];
        if n == 0 {
            return (bodies, frames.finish());
        }
    }
}

#[test]
fn frames_of_0_13_0() {
    let mut seen = std::collections::BTreeMap::new();
    for row in behaviour("hostd_frames", 53) {
        *seen.entry(text(&row, "op").to_owned()).or_insert(0) += 1;
        match text(&row, "op") {
            "write_frame" => {
                let body = hex(text(&row, "payload_hex"));
                assert_eq!(encode_body(&body).unwrap(), hex(text(&row, "frame_hex")));
            }
            "large" => large(&row),
            "read_frame" => read_frame(&row),
            "send_request" => {
                let request: HostdRequest = serde_json::from_str(text(&row, "json")).unwrap();
                assert_eq!(encode(&request).unwrap(), hex(text(&row, "frame_hex")));
            }
            "send_response" => {
                let response: HostdResponse = serde_json::from_str(text(&row, "json")).unwrap();
                assert_eq!(encode(&response).unwrap(), hex(text(&row, "frame_hex")));
            }
            "recv" => {
                let (bodies, end) = read_all(&hex(text(&row, "frame_hex")), 3);
                assert_eq!((bodies.len(), end), (1, Ok(())));
                assert_read::<HostdRequest>(&bodies[0], &row["recv_request"]);
                assert_read::<HostdResponse>(&bodies[0], &row["recv_response"]);
            }
            op => panic!("{op}"),
        }
    }
    let seen: Vec<_> = seen.iter().map(|(op, n)| (op.as_str(), *n)).collect();
    let wanted = [
        ("large", 4),
        ("read_frame", 8),
        ("recv", 6),
        ("send_request", 22),
        ("send_response", 5),
        ("write_frame", 8),
    ];
    assert_eq!(seen, wanted);
}

fn assert_read<T: Document>(body: &[u8], wanted: &Value) {
    match T::from_json(body) {
        Ok(value) => assert_eq!(
            Some(serde_json::to_string(&value).unwrap().as_str()),
            wanted["out"].as_str()
        ),
        Err(_) => assert_eq!(wanted["ok"], false, "{wanted}"),
    }
}

fn large(row: &Value) {
    let len = usize::try_from(row["len"].as_u64().unwrap()).unwrap();
    let body = vec![u8::try_from(row["byte"].as_u64().unwrap()).unwrap(); len];
    let header = hex(text(row, "header_hex"));
    let mut frame = header.clone();
    frame.extend_from_slice(&body);
    assert_eq!(row["frame_len"], frame.len());
    let (bodies, end) = read_all(&frame, usize::MAX);
    if row["read"]["ok"] == true {
        assert_eq!(encode_body(&body).as_ref(), Ok(&frame));
        assert_eq!((bodies, end), (vec![body], Ok(())));
    } else {
        // 0.13.0 wrote what it does not read.
        let max = HOSTD_FRAME_MAX;
        assert_eq!(encode_body(&body), Err(EncodeError::TooLong { len, max }));
        assert_eq!(end, Err(FrameError::TooLong { len, max }));
        assert!(bodies.is_empty());
        // The header alone is enough.
        assert_eq!(read_all(&header, 1).1, end);
    }
}

fn read_frame(row: &Value) {
    let stream = hex(text(row, "frame_hex"));
    let (bodies, end) = read_all(&stream, 1);
    if row["ok"] == true {
        assert_eq!(bodies[0], hex(text(row, "payload_hex")));
        let unread = usize::try_from(row["unread"].as_u64().unwrap()).unwrap();
        let needed = FRAME_HEADER_LEN;
        let wanted = match unread {
            0 => Ok(()),
            have => Err(FrameError::Truncated { have, needed }),
        };
        assert_eq!(end, wanted);
    } else if stream.is_empty() {
        // The end between two frames is the end.
        assert_eq!(end, Ok(()));
    } else {
        assert!(bodies.is_empty() && end.is_err(), "{row}");
    }
}

#[test]
fn a_message_that_is_too_long_is_not_sent() {
    let message = "x".repeat(HOSTD_FRAME_MAX);
    let len = HOSTD_FRAME_MAX + r#"{"Error":{"message":""}}"#.len();
    let max = HOSTD_FRAME_MAX;
    assert_eq!(
        encode(&HostdResponse::Error { message }),
        Err(EncodeError::TooLong { len, max })
    );
    // The longest message that `error` makes fits, whatever it is made of, and is cut between characters.
    for character in ["\u{0}", "é", "\"", "x"] {
        let response = HostdResponse::error(&character.repeat(HOSTD_FRAME_MAX));
        let HostdResponse::Error { message } = &response else {
            panic!("{response:?}");
        };
        assert_eq!(message.len(), HOSTD_MESSAGE_MAX);
        assert!(encode(&response).is_ok());
    }
    let HostdResponse::Error { message } = HostdResponse::error(&"☃".repeat(2000)) else {
        panic!();
    };
    assert_eq!(message, "☃".repeat(HOSTD_MESSAGE_MAX / 3));
}

#[test]
fn memory_grows_with_what_arrives_and_is_given_back() {
    let mut frames = Frames::new();
    assert_eq!(frames.space().len(), HOSTD_BUFFER_LEN);
    // A frame of 1 MiB is announced, and nothing else comes.
    frames.space()[..4].copy_from_slice(&[0, 0x10, 0, 0]);
    frames.advance(4);
    assert_eq!(frames.next_body(), Ok(None));
    assert_eq!(frames.space().len(), HOSTD_BUFFER_LEN - 4);
    let mut arrived = 4;
    while arrived < HOSTD_FRAME_MAX + 4 {
        let space = frames.space();
        let len = space.len();
        assert!(arrived + len <= (2 * arrived).max(HOSTD_BUFFER_LEN));
        frames.advance(len);
        arrived += len;
        if arrived < HOSTD_FRAME_MAX + 4 {
            assert_eq!(frames.next_body(), Ok(None));
        }
    }
    assert_eq!(frames.next_body().unwrap().unwrap().len(), HOSTD_FRAME_MAX);
    assert_eq!(frames.space().len(), HOSTD_BUFFER_LEN);

    // Who claims more than there was room for has lost the stream.
    let (claimed, available) = (HOSTD_BUFFER_LEN + 1, HOSTD_BUFFER_LEN);
    frames.advance(claimed);
    let error = FrameError::Overrun { claimed, available };
    assert_eq!(frames.next_body(), Err(error));
    assert_eq!(frames.finish(), Err(error));
}

#[test]
fn room_for_frames_of_10_kib_is_made_once() {
    let frame = encode_body(&[b' '; 10 * 1024]).unwrap();
    let mut frames = Frames::new();
    let mut room = Vec::new();
    for _ in 0..3 {
        let mut rest = &frame[..];
        while !rest.is_empty() {
            let space = frames.space();
            room.push(space.len());
            let n = rest.len().min(space.len());
            space[..n].copy_from_slice(&rest[..n]);
            frames.advance(n);
            rest = &rest[n..];
            if rest.is_empty() {
                assert_eq!(frames.next_body().unwrap().unwrap().len(), 10 * 1024);
            }
        }
    }
    assert_eq!(
        room,
        [4096, 4096, 8192, HOSTD_BUFFER_KEPT, HOSTD_BUFFER_KEPT]
    );
}

#[test]
fn a_full_buffer_of_complete_frames_does_not_grow() {
    let mut frames = Frames::new();
    let frame = encode_body(&[7; 60]).unwrap();
    let many = frame.repeat(HOSTD_BUFFER_LEN / frame.len());
    let space = frames.space();
    space[..many.len()].copy_from_slice(&many);
    frames.advance(HOSTD_BUFFER_LEN);
    for _ in 0..3 {
        assert!(frames.space().is_empty());
    }
    assert_eq!(frames.next_body().unwrap().unwrap(), [7; 60]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_stream_is_cut_alike_however_it_arrives(
        lens in proptest::collection::vec(0_usize..20_000, 0..6),
        step in 1_usize..9_000,
        cut in 0_usize..30_000,
    ) {
        let bodies: Vec<Vec<u8>> = lens
            .iter()
            .enumerate()
            .map(|(n, len)| (0..*len).map(|at| u8::try_from((at * 7 + n) % 251).unwrap()).collect())
            .collect();
        let mut stream = Vec::new();
        let mut ends = vec![0];
        for body in &bodies {
            stream.extend_from_slice(&encode_body(body).unwrap());
            ends.push(stream.len());
        }
        prop_assert_eq!(read_all(&stream, step), (bodies.clone(), Ok(())));
        let cut = cut.min(stream.len());
        let (whole, end) = read_all(&stream[..cut], step);
        let complete = ends.iter().filter(|end| **end <= cut).count() - 1;
        prop_assert_eq!(&whole[..], &bodies[..complete]);
        prop_assert_eq!(end.is_ok(), ends.contains(&cut));
    }

    #[test]
    fn nothing_that_is_received_makes_anything_panic(
        bodies in proptest::collection::vec(
            prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..40),
                "[{}\\[\\]\":,A-Za-z0-9]{0,40}".prop_map(String::into_bytes),
                Just(br#"{"Hello":{"min":1,"max":2}}"#.to_vec()),
                Just(br#"{"Hello":{"version":2}}"#.to_vec()),
                Just(br#"{"id":0,"request":"Ping"}"#.to_vec()),
                Just(br#"{"id":0,"response":"Pong"}"#.to_vec()),
                Just(br#""Ping""#.to_vec()),
                Just(br#"{"Error":{"message":""}}"#.to_vec()),
            ],
            0..8,
        ),
    ) {
        let mut server = ServerSession::new();
        for body in &bodies {
            let before = server.version();
            match server.receive(body) {
                Ok(Incoming::Hello { reply }) => prop_assert!(before.is_none() && !reply.is_empty()),
                Ok(Incoming::Request { reply_to, .. }) => {
                    prop_assert!(reply_to.reply(HostdResponse::Ok).is_ok());
                }
                Err(refusal) => prop_assert!(refusal.ends() || !refusal.reply().is_empty()),
            }
        }
        for body in &bodies {
            let _ = ClientHandshake::new().answer(body);
        }
        let mut client = ClientSession::version_1();
        let _ = client.request(HostdRequest::Ping, None).unwrap();
        for body in &bodies {
            let _ = client.receive(body);
        }
    }
}

fn body(frame: &[u8]) -> &[u8] {
    &frame[FRAME_HEADER_LEN..]
}

/// What a server answers to a client's hello, and which session the client has then.
fn open(server: &mut ServerSession) -> ClientSession {
    let client = ClientHandshake::new();
    let hello = client.hello().unwrap();
    let Ok(Incoming::Hello { reply }) = server.receive(body(&hello)) else {
        panic!("no answer to {hello:?}");
    };
    match client.answer(body(&reply)).unwrap() {
        Opened::Ready(session) => session,
        Opened::Reconnect(_) => panic!("reconnect"),
    }
}

#[test]
fn the_bytes_of_the_exchange() {
    let client = ClientHandshake::new();
    let mut server = ServerSession::new();
    let hello = client.hello().unwrap();
    assert_eq!(hello, b"\0\0\0\x1b{\"Hello\":{\"min\":1,\"max\":2}}");
    let Ok(Incoming::Hello { reply }) = server.receive(body(&hello)) else {
        panic!();
    };
    assert_eq!(reply, b"\0\0\0\x17{\"Hello\":{\"version\":2}}");
    assert_eq!(server.version(), Some(2));
    let Ok(Opened::Ready(mut client)) = client.answer(body(&reply)) else {
        panic!();
    };
    let timeout = Duration::from_secs(5);
    let (id, call) = client.request(HostdRequest::Ping, Some(timeout)).unwrap();
    assert_eq!(
        call,
        b"\0\0\0\x2b{\"id\":0,\"timeout_ms\":5000,\"request\":\"Ping\"}"
    );
    let Ok(Incoming::Request {
        request,
        timeout: told,
        reply_to,
    }) = server.receive(body(&call))
    else {
        panic!();
    };
    assert_eq!((request, told), (HostdRequest::Ping, Some(timeout)));
    assert_eq!(reply_to.id(), Some(id));
    let answer = reply_to.reply(HostdResponse::Pong).unwrap();
    assert_eq!(answer, b"\0\0\0\x1a{\"id\":0,\"response\":\"Pong\"}");
    let response = HostdResponse::Pong;
    assert_eq!(
        client.receive(body(&answer)),
        Ok(Received::Answer { id, response })
    );

    let (_, call) = client.request(HostdRequest::Ping, None).unwrap();
    assert_eq!(body(&call), br#"{"id":1,"request":"Ping"}"#);
    let short = Some(Duration::from_nanos(1));
    let (_, call) = client.request(HostdRequest::Ping, short).unwrap();
    assert_eq!(body(&call), br#"{"id":2,"timeout_ms":1,"request":"Ping"}"#);
}

/// A peer of 0.13.0 cannot read a hello; whatever it does then, the client goes on in version 1.
#[test]
fn a_client_meets_0_13_0() {
    let hello = ClientHandshake::new().hello().unwrap();
    assert!(HostdRequest::from_json(body(&hello)).is_err());
    let answered = ClientHandshake::new().answer(br#"{"Error":{"message":"?"}}"#);
    for opened in [answered, ClientHandshake::new().closed()] {
        let Ok(Opened::Reconnect(mut session)) = opened else {
            panic!("{opened:?}");
        };
        assert_eq!(session.version(), 1);
        // Exactly the bytes that 0.13.0 sends.
        let (_, frame) = session
            .request(HostdRequest::Ping, Some(Duration::ZERO))
            .unwrap();
        assert_eq!(frame, b"\0\0\0\x06\"Ping\"");
    }
    let answered = ClientHandshake::without_version_1().answer(br#"{"Error":{"message":"?"}}"#);
    for opened in [answered, ClientHandshake::without_version_1().closed()] {
        let Err(HandshakeError::Mismatch(mismatch)) = opened else {
            panic!("{opened:?}");
        };
        assert_eq!(mismatch.upgrade(), Side::Server);
        assert_eq!(
            mismatch.to_string(),
            "the client speaks version 2, hostd version 1: upgrade hostd"
        );
    }
}

#[test]
fn a_server_meets_0_13_0() {
    let mut server = ServerSession::new();
    let Ok(Incoming::Request { reply_to, .. }) = server.receive(br#""Ping""#) else {
        panic!();
    };
    assert_eq!(reply_to.id(), None);
    assert_eq!(
        reply_to.reply(HostdResponse::Ok).unwrap(),
        b"\0\0\0\x04\"Ok\""
    );
    // It stays at version 1: a hello that comes later is no request, and an envelope neither.
    for late in [
        &br#"{"Hello":{"min":1,"max":2}}"#[..],
        br#"{"id":0,"request":"Ping"}"#,
    ] {
        let refusal = server.receive(late).unwrap_err();
        assert!(matches!(refusal.reason(), RefusalReason::Request(_)));
        assert!(!refusal.ends());
        let answer = HostdResponse::from_json(body(refusal.reply()));
        assert!(matches!(answer, Ok(HostdResponse::Error { .. })));
        assert_eq!(server.version(), Some(1));
    }
    // Also when its first request is wrong.
    let mut server = ServerSession::new();
    assert!(!server.receive(b"{}").unwrap_err().ends());
    assert_eq!(server.version(), Some(1));

    let mut server = ServerSession::without_version_1();
    let refusal = server.receive(br#""Ping""#).unwrap_err();
    assert!(refusal.ends());
    assert_eq!(
        body(refusal.reply()),
        br#"{"Error":{"message":"the client speaks version 1, hostd version 2: upgrade the client"}}"#
    );
    let refusal = server.receive(br#""Ping""#).unwrap_err();
    assert_eq!(refusal.reason(), &RefusalReason::Ended);
    assert!(refusal.ends() && refusal.reply().is_empty());
}

#[test]
fn versions_of_later_programs() {
    for (hello, chosen) in [
        (r#"{"Hello":{"min":1,"max":1}}"#, Some(1)),
        (r#"{"Hello":{"min":2,"max":9}}"#, Some(2)),
        (r#"{"Hello":{"min":1,"max":65535,"later":[1]}}"#, Some(2)),
        (r#"{"Hello":{"min":3,"max":4}}"#, None),
    ] {
        let mut server = ServerSession::new();
        match server.receive(hello.as_bytes()) {
            Ok(Incoming::Hello { reply }) => {
                let version = chosen.unwrap();
                let wanted = format!(r#"{{"Hello":{{"version":{version}}}}}"#);
                assert_eq!(body(&reply), wanted.as_bytes());
                assert_eq!(server.version(), chosen);
            }
            Err(refusal) => {
                assert_eq!(chosen, None);
                assert!(refusal.ends());
                assert_eq!(
                    refusal.reply(),
                    b"\0\0\0\x25{\"NoCommonVersion\":{\"min\":1,\"max\":2}}"
                );
                let RefusalReason::Mismatch(mismatch) = refusal.reason() else {
                    panic!("{refusal}");
                };
                assert_eq!(mismatch.upgrade(), Side::Server);
            }
            other => panic!("{other:?}"),
        }
    }
    // A hello that cannot be read.
    for hello in [
        r#"{"Hello":{"min":0,"max":2}}"#,
        r#"{"Hello":{"min":2,"max":1}}"#,
        r#"{"Hello":{"min":1,"max":65536}}"#,
        r#"{"Hello":{"min":1}}"#,
        r#"{"Hello":null}"#,
    ] {
        let mut server = ServerSession::new();
        let refusal = server.receive(hello.as_bytes()).unwrap_err();
        assert!(
            matches!(refusal.reason(), RefusalReason::Hello(_)),
            "{hello}"
        );
        assert!(refusal.ends() && server.version().is_none());
        // The client that said it reads the answer as one of version 1.
        let opened = ClientHandshake::new().answer(body(refusal.reply()));
        assert!(matches!(opened, Ok(Opened::Reconnect(_))));
    }

    let later = ClientHandshake::new().answer(br#"{"NoCommonVersion":{"min":3,"max":4}}"#);
    let Err(HandshakeError::Mismatch(mismatch)) = later else {
        panic!("{later:?}");
    };
    assert_eq!(mismatch.upgrade(), Side::Client);
    assert_eq!(
        (mismatch.client(), mismatch.server()),
        (Versions::SUPPORTED, Versions::new(3, 4).unwrap())
    );
    let offered = Versions::SUPPORTED;
    for (answer, error) in [
        (
            r#"{"Hello":{"version":3}}"#,
            HandshakeError::NotOffered {
                version: 3,
                offered,
            },
        ),
        (
            r#"{"Hello":{"version":0}}"#,
            HandshakeError::NotOffered {
                version: 0,
                offered,
            },
        ),
        (
            r#"{"NoCommonVersion":{"min":2,"max":3}}"#,
            HandshakeError::Contradiction {
                offered,
                theirs: Versions::new(2, 3).unwrap(),
            },
        ),
    ] {
        let got = ClientHandshake::new()
            .answer(answer.as_bytes())
            .unwrap_err();
        assert_eq!(got, error);
    }
    for nonsense in ["", "{}", r#""Ok""#, r#""Pong""#, "[]", r#"{"Hello":{}}"#] {
        let got = ClientHandshake::new().answer(nonsense.as_bytes());
        assert!(
            matches!(got, Err(HandshakeError::Unexpected(_))),
            "{nonsense}"
        );
    }
}

#[test]
fn version_1_answers_one_request_at_a_time() {
    let mut session = ClientSession::version_1();
    assert_eq!(session.receive(br#""Ok""#), Err(ReceiveError::NotAsked));
    assert_eq!(session.receive(br#""Ok""#), Err(ReceiveError::Lost));
    assert_eq!(
        session.request(HostdRequest::Ping, None),
        Err(RequestError::Lost)
    );

    let mut session = ClientSession::version_1();
    let (id, _) = session.request(HostdRequest::Ping, None).unwrap();
    assert_eq!(
        session.request(HostdRequest::Ping, None),
        Err(RequestError::Busy { max: 1 })
    );
    let response = HostdResponse::Pong;
    assert_eq!(
        session.receive(br#""Pong""#),
        Ok(Received::Answer { id, response })
    );
    // A late answer would be taken for the next one's: so there is no next one.
    let (id, _) = session.request(HostdRequest::Ping, None).unwrap();
    assert!(!session.give_up(id));
    assert_eq!(
        session.request(HostdRequest::Ping, None),
        Err(RequestError::Lost)
    );
    assert_eq!(session.receive(br#""Pong""#), Err(ReceiveError::Lost));

    let mut session = ClientSession::version_1();
    let _ = session.request(HostdRequest::Ping, None).unwrap();
    assert!(matches!(
        session.receive(b"x"),
        Err(ReceiveError::Invalid(_))
    ));
    assert_eq!(session.receive(br#""Ok""#), Err(ReceiveError::Lost));
}

#[test]
fn version_2_answers_in_any_order_and_a_late_answer_is_known() {
    let mut server = ServerSession::new();
    let mut client = open(&mut server);
    let mut replies = Vec::new();
    for _ in 0..HOSTD_PENDING_MAX {
        let (_, call) = client.request(HostdRequest::Ping, None).unwrap();
        let Ok(Incoming::Request { reply_to, .. }) = server.receive(body(&call)) else {
            panic!();
        };
        replies.push(reply_to);
    }
    let max = HOSTD_PENDING_MAX;
    assert_eq!(
        client.request(HostdRequest::Ping, None),
        Err(RequestError::Busy { max })
    );
    let given_up = replies[3].id().unwrap();
    assert!(client.give_up(given_up));
    for reply_to in replies.into_iter().rev() {
        let id = reply_to.id().unwrap();
        let answer = reply_to.reply(HostdResponse::Ok).unwrap();
        let wanted = if id == given_up {
            Received::Late { id }
        } else {
            let response = HostdResponse::Ok;
            Received::Answer { id, response }
        };
        assert_eq!(client.receive(body(&answer)).as_ref(), Ok(&wanted));
        // The same one again.
        assert_eq!(client.receive(body(&answer)), Ok(Received::Late { id }));
    }
    assert_eq!(client.pending(), 0);
    let error = client.receive(br#"{"id":64,"response":"Ok"}"#).unwrap_err();
    assert!(matches!(error, ReceiveError::UnknownRequest { .. }));
    assert_eq!(
        client.receive(br#"{"id":0,"response":"Ok"}"#),
        Err(ReceiveError::Lost)
    );
}

#[test]
fn version_2_refuses_with_the_number_of_the_request() {
    let mut server = ServerSession::new();
    let mut client = open(&mut server);
    let (id, _) = client.request(HostdRequest::Ping, None).unwrap();
    let wrong = br#"{"id":0,"request":{"StopInstance":{"tenant_id":"a;b","pool_id":"p","instance_id":"i"}}}"#;
    let refusal = server.receive(wrong).unwrap_err();
    assert!(!refusal.ends());
    let RefusalReason::Request(invalid) = refusal.reason() else {
        panic!("{refusal}");
    };
    assert_eq!(invalid.problems()[0].path, "request.StopInstance.tenant_id");
    let received = client.receive(body(refusal.reply())).unwrap();
    assert!(matches!(received, Received::Answer { id: got, .. } if got == id));

    for wrong in ["\"Ping\"", "{}", r#"{"id":-1,"request":"Ping"}"#, ""] {
        let mut server = ServerSession::new();
        let mut client = open(&mut server);
        let refusal = server.receive(wrong.as_bytes()).unwrap_err();
        assert!(refusal.ends(), "{wrong}");
        let error = client.receive(body(refusal.reply())).unwrap_err();
        assert!(matches!(error, ReceiveError::Refused { .. }));
        assert_eq!(server.version(), None);
    }
}

/// What reaches hostd can be put into a path or an argument as it is.
#[test]
fn nothing_hostile_reaches_the_shell() {
    for text in [
        "$(id)", "a;b", "../x", "a b", "-x", "a\\nb", "'", "é", "a/b", "`id`", "A",
    ] {
        for member in ["tenant_id", "pool_id", "instance_id"] {
            let mut ids = [("tenant_id", "t"), ("pool_id", "p"), ("instance_id", "i")];
            for (name, value) in &mut ids {
                if *name == member {
                    *value = text;
                }
            }
            let members: Vec<_> = ids
                .iter()
                .map(|(n, v)| format!("\"{n}\":\"{v}\""))
                .collect();
            let json = format!(r#"{{"StartInstance":{{{}}}}}"#, members.join(","));
            let invalid = HostdRequest::from_json(json.as_bytes()).unwrap_err();
            let paths: Vec<_> = invalid.problems().iter().map(|p| p.path.clone()).collect();
            assert_eq!(paths, [format!("StartInstance.{member}")]);
        }
        let net = format!(
            r#"{{"SetupNetwork":{{"tenant_id":"t","net":{{"tenant_net_id":3,"ipv4_subnet":"{text}","gateway_ip":"{text}","bridge_name":"{text}"}}}}}}"#
        );
        assert!(HostdRequest::from_json(net.as_bytes()).is_err(), "{text}");
    }
}

/// One tenant's bridge and addresses are not set up, or torn down, under another one's number.
#[test]
fn a_network_agrees_with_itself() {
    let request = |net: u16, subnet: &str, gateway: &str, bridge: &str| {
        let json = format!(
            r#"{{"TeardownNetwork":{{"tenant_id":"acme","net":{{"tenant_net_id":{net},"ipv4_subnet":"{subnet}","gateway_ip":"{gateway}","bridge_name":"{bridge}"}}}}}}"#
        );
        match HostdRequest::from_json(json.as_bytes()) {
            Ok(_) => Vec::new(),
            Err(invalid) => invalid.problems().iter().map(|p| p.path.clone()).collect(),
        }
    };
    let right = request(3, "10.240.3.0/24", "10.240.3.1", "br-tenant-3");
    assert_eq!(right, [""; 0]);
    let bridge = request(3, "10.240.3.0/24", "10.240.3.1", "br-tenant-4");
    assert_eq!(bridge, ["TeardownNetwork.net.bridge_name"]);
    let gateway = request(3, "10.240.3.0/24", "10.240.4.1", "br-tenant-3");
    assert_eq!(gateway, ["TeardownNetwork.net.gateway_ip"]);
}
