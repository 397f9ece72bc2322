//! Generated records of any kind, each member of it valid or not.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::odd::{joined, members};

/// Texts, numbers and everything else that may stand for a member.
fn member() -> impl Strategy<Value = String> {
    let piece = select(vec![
        "a",
        "Z",
        "7",
        ".",
        "-",
        "/",
        " ",
        "é",
        "😀",
        "\u{7f}",
        "\u{85}",
        "\u{2028}",
        "\u{feff}",
        "\u{fffd}",
        "\u{ffff}",
        "\\n",
        "\\u0000",
        "\\u0001",
        "\\u001f",
        "\\u0041",
        "\\uD83D\\uDE00",
        "\\ud800",
        "\\udfff",
        "\\\"",
        "\\\\",
        "\\/",
        "\\b",
        "'",
        "[",
        "^",
        "&",
        "\t",
        "\\x",
        "\\u12",
        "E+",
        "T",
    ]);
    prop_oneof![
        4 => proptest::collection::vec(piece, 0..5).prop_map(|pieces| format!("\"{}\"", pieces.concat())),
        3 => "-?(0|[1-9][0-9]{0,15})(\\.[0-9]{1,7})?([eE][+-]?[0-9]{1,3})?",
        2 => "\"-?[0-9]{1,14}(\\.[0-9]{1,7})?(E[+-][0-9]{1,2})?\"",
        1 => select(vec!["null", "true", "false", "{}", "[]", "[\"a\"]", "{\"a\":\"b\"}", "01", "+1", ".5", "1.", "NaN", "''", "nul", "-", "\"\""])
            .prop_map(str::to_owned),
    ]
}

/// A record of any kind, from a valid one to rubbish.
pub fn any_record(n: usize, now: i64) -> impl Strategy<Value = Vec<u8>> {
    let names = vec![
        "site_id",
        "event_type",
        "user_id",
        "session_id",
        "page_url",
        "product_id",
        "value",
        "timestamp",
        "event_id",
        "page_url",
        "value",
        "product_id",
        "referrer",
        "currency",
        "more",
    ];
    let kind = select(vec!["click", "page_view", "purchase", "purchase", "heartbeat"]);
    let space = select(vec!["", "", "", " ", "\n", "\t\r", "\u{a0}"]);
    let spoilt = proptest::option::weighted(
        0.15,
        (any::<Index>(), 0..3usize, select(b"\"{}[],:\\\0\x01\x7f\xff\xc3 u0".to_vec())),
    );
    let changes = proptest::collection::vec((select(names), member(), any::<bool>()), 0..4);
    (kind, changes, space, any::<bool>(), any::<Index>(), spoilt).prop_map(
        move |(kind, changes, space, reversed, turn, spoilt)| {
            let mut all = members(n, now);
            all[3].1 = format!("\"{kind}\"");
            for (name, json, again) in changes {
                match all.iter_mut().find(|(member, _)| member == name) {
                    Some((_, value)) if !again => *value = json,
                    _ => all.push((name.to_owned(), json)),
                }
            }
            if reversed {
                let turn = turn.index(all.len());
                all.rotate_left(turn);
            }
            let mut bytes = joined(&all, space).into_bytes();
            if let Some((place, how, byte)) = spoilt {
                let at = place.index(bytes.len());
                match how {
                    0 => bytes[at] = byte,
                    1 => bytes.insert(at, byte),
                    _ => drop(bytes.remove(at)),
                }
            }
            bytes
        },
    )
}
