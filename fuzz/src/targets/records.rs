//! What a site recorded and reads back: tables, jobs, models.

use serde_json::Value;
use tributary_binning::Model;
use tributary_core::PartyId;
use tributary_core::meta::TableRecord;
use tributary_flow::record::{JobRecord, Records};

pub(super) fn tables() -> Vec<Vec<u8>> {
    vec![include_str!("../../../storage/meta/tests/golden/record-v1.json").into()]
}

pub(super) fn table(bytes: &[u8]) {
    drop(serde_json::from_slice::<TableRecord>(bytes));
}

pub(super) fn job(bytes: &[u8]) {
    let Ok(record) = serde_json::from_slice::<JobRecord>(bytes) else { return };
    let records = Records::new(std::env::temp_dir().join("tributary-fuzz-has-no-such-home"));
    for party in ["9999", "10000"] {
        drop(PartyId::new(party).and_then(|party| records.tasks(&record, &party)));
    }
}

pub(super) fn model(bytes: &[u8]) {
    let Ok(mut file) = serde_json::from_slice::<Value>(bytes) else { return };
    let Some(data) = file.get_mut("data").map(Value::take) else { return };
    let Ok(model) = serde_json::from_value::<Model>(data) else { return };
    for (column, cuts) in model.cuts() {
        drop((cuts.bins(), model.woe(column)));
    }
}
