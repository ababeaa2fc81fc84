//! What sites send each other by mail and by letters, and what a party says and keeps about its partners.

use std::sync::LazyLock;

use tributary_grants::{Decision, Grants, Known, Request, audit, decide};
use tributary_trust::Card;

use super::judge;

/// A card with its fingerprint is in the folder of seeds.
pub(super) fn cards() -> Vec<Vec<u8>> {
    vec![
        b"tributary card, version 1\nparty: 9999\naddress: none, calls out only\nkey: 00\nfingerprint: 00\n"
            .into(),
    ]
}

pub(super) fn card(bytes: &[u8]) {
    let read = Card::parse("10000.card", bytes);
    if let Ok(card) = &read {
        let again = Card::parse("10000.card", card.to_string().as_bytes());
        assert!(again.is_ok_and(|again| again == *card), "a card that was read is a card");
    }
    judge(read);
}

/// What job control writes from site to site.
pub(super) fn letters() -> Vec<Vec<u8>> {
    let part = r#"{"job":"j","task":"psi_0","party":{"role":"host","id":"2"},"attempt":0}"#;
    let hash = "ab".repeat(32);
    let contents = [
        format!(
            r#""request":{{"number":7,"request":{{"offer":{{"job":"j","file":"job.yaml","source":"dag: {{}}","hash":"{hash}","product":"0.1.0"}}}}}}"#
        ),
        r#""request":{"number":18446744073709551615,"request":{"book":["j",{}]}}"#.to_owned(),
        format!(r#""request":{{"number":1,"request":{{"run":{part}}}}}"#),
        format!(r#""request":{{"number":1,"request":{{"standing":["j",[{part}]]}}}}"#),
        r#""request":{"number":1,"request":{"ping":{"there":"....","back":1048576}}}"#.to_owned(),
        r#""reply":{"number":1,"reply":"working"}"#.to_owned(),
        r#""reply":{"number":1,"reply":{"standing":["success",[true,null]]}}"#.to_owned(),
        r#""reply":{"number":1,"reply":{"pong":{"back":"..","product":"0.1.0","kernels":"ab","now_ms":1}}}"#
            .to_owned(),
        r#""event":{"job":"j","event":{"event":"party_missing","party":"2","seconds":3}}"#.to_owned(),
        r#""beat":{"job":"j"}"#.to_owned(),
    ];
    contents.iter().map(|content| format!(r#"{{"version":1,{content}}}"#).into_bytes()).collect()
}

pub(super) fn letter(bytes: &[u8]) {
    tributary_flow::remote::fuzzing::letter(bytes);
}

static KNOWN: LazyLock<Known> =
    LazyLock::new(|| Known::new([("psi", vec!["default"]), ("binning", vec!["train", "predict"])]));

pub(super) fn grants() -> Vec<Vec<u8>> {
    [
        "grants:\n- partner: [9999, 10001]\n  components: [psi, {binning: [train]}]\n  tables: [loans, 'a*/b?']\n  models: ['m?_*']\n  roles: host\n  \
         partner_roles: [guest]\n  most_rows: 1000000\n  least_common_rows: 100\n  hours: [mon-fri 22:00-06:00 +01:00]\n  most_cores: 4\n",
        "grants: []\n",
    ]
    .map(Into::into)
    .to_vec()
}

pub(super) fn grant(bytes: &[u8]) {
    let grants = match Grants::parse("grants.yaml", bytes, &KNOWN) {
        Ok(grants) => grants,
        Err(problems) => return drop(problems.to_string()),
    };
    let Ok(partner) = tributary_core::Party::new("guest", "9999") else { return };
    let mut request = Request::new(partner, std::time::Duration::from_secs(1_795_348_800));
    if let Ok(role) = "host".parse() {
        request.add_task("psi_0", "psi", "default", role);
    }
    if let Decision::Refused(refusal) = decide(&grants, &request, &tributary_core::Limits::default()) {
        assert!(!refusal.reasons.is_empty(), "a refusal has reasons");
    }
}

pub(super) fn audit_entries() -> Vec<Vec<u8>> {
    [
        r#"{"time":"2026-11-22T12:00:00.123Z","partner":"9999","key":"3f0c","job":"a","hash":"ab","outcome":"accepted","by":{"grant":2}}"#,
        r#"{"time":"2026-11-22T12:00:00.123Z","partner":"9999","job":"c","hash":"ab","outcome":"refused","reasons":["no"]}"#,
    ]
    .map(Into::into)
    .to_vec()
}

pub(super) fn audit_entry(bytes: &[u8]) {
    drop(audit::parse(bytes));
}
