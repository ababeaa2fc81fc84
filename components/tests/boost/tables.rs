//! Made tables: columns of a guest and its hosts that a label depends on.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::DataType;
use tributary_boost::Targets;
use tributary_core::computing::Computing;
use tributary_core::{Field, KeyType, Layout, Purpose, Table, TableSchema};

/// A column of one party.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    Numbers(Vec<Option<f64>>),
    Texts(Vec<Option<String>>),
}

/// One party's rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    pub names: Vec<String>,
    pub columns: Vec<Values>,
    pub label: Option<Vec<f64>>,
    pub weights: Option<Vec<f64>>,
    /// Row numbers that ids are made of; two rows may have one.
    pub ids: Vec<usize>,
}

impl Rows {
    /// What tables of equal rows have in common.
    pub fn content(&self) -> String {
        format!("{:?}", (&self.names, &self.ids, self.columns.first()))
    }

    /// Some of the rows.
    pub fn taken(&self, rows: std::ops::Range<usize>) -> Self {
        let numbers = |all: &Vec<f64>| all[rows.clone()].to_vec();
        let taken = |values: &Values| match values {
            Values::Numbers(values) => Values::Numbers(values[rows.clone()].to_vec()),
            Values::Texts(values) => Values::Texts(values[rows.clone()].to_vec()),
        };
        Self {
            names: self.names.clone(),
            columns: self.columns.iter().map(taken).collect(),
            label: self.label.as_ref().map(numbers),
            weights: self.weights.as_ref().map(numbers),
            ids: self.ids[rows.clone()].to_vec(),
        }
    }

    pub async fn table(&self, session: &Arc<dyn Computing>, layout: Layout) -> Table {
        let ids = StringArray::from_iter_values(self.ids.iter().map(|row| format!("id{row}")));
        let (mut fields, mut columns): (Vec<Field>, Vec<ArrayRef>) = (Vec::new(), vec![Arc::new(ids)]);
        if let Some(label) = &self.label {
            fields.push(Field::new("y", DataType::Float64).purpose(Purpose::Label));
            columns.push(Arc::new(Float64Array::from(label.clone())));
        }
        if let Some(weights) = &self.weights {
            fields.push(Field::new("w", DataType::Float64).purpose(Purpose::Weight));
            columns.push(Arc::new(Float64Array::from(weights.clone())));
        }
        for (name, values) in self.names.iter().zip(&self.columns) {
            match values {
                Values::Numbers(values) => {
                    fields.push(Field::new(name, DataType::Float64).nullable());
                    columns.push(Arc::new(Float64Array::from(values.clone())));
                }
                Values::Texts(values) => {
                    fields.push(Field::new(name, DataType::Utf8).nullable().purpose(Purpose::Category));
                    columns.push(Arc::new(StringArray::from(values.clone())));
                }
            }
        }
        // Whole numbers, which look like another type.
        if !self.names.is_empty() {
            fields.push(Field::new("whole", DataType::Int64));
            columns
                .push(Arc::new(Int64Array::from_iter_values((0..self.ids.len()).map(|row| row as i64 % 3))));
        }
        let schema = TableSchema::keyed("id", KeyType::Utf8, fields).unwrap();
        let rows: RecordBatch = schema.batch(columns).unwrap();
        let table = Table::parallelize(session, &schema, vec![rows], layout).await.unwrap();
        table.keep_rows().await.unwrap()
    }
}

/// Numbers that look drawn, the same on every machine.
pub fn drawn(seed: u64, at: u64) -> f64 {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(at.wrapping_mul(0xd1b5_4a32_d192_ed03));
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((x ^ (x >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

/// What the label says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    Binary,
    Signs,
    Classes(u32),
    Number,
}

/// A guest with a label and two columns, and hosts with three each: some values are missing, one column is of categories, one is mostly zero.
pub fn made(rows: usize, hosts: usize, goal: Goal) -> Vec<Rows> {
    let number = |party: usize, column: u64| {
        let value = move |row: usize| {
            let of = |what: u64| drawn(party as u64 * 100 + column * 10 + what, row as u64);
            let value = match column {
                2 => {
                    if of(1) < 0.8 {
                        0.0
                    } else {
                        of(2)
                    }
                }
                _ => (of(1) * 40.0).round() / 7.0,
            };
            (of(3) > 0.1 || column == 2).then_some(value)
        };
        (0..rows).map(value).collect::<Vec<Option<f64>>>()
    };
    let texts = |party: usize| {
        let text = |row: usize| {
            let at = drawn(party as u64 * 100 + 77, row as u64) * 6.0;
            (at < 5.5).then(|| format!("c{}", at as u32))
        };
        (0..rows).map(text).collect::<Vec<Option<String>>>()
    };
    let mut all: Vec<Rows> = (0..=hosts)
        .map(|party| Rows {
            names: (0..4).map(|column| format!("p{party}_{column}")).collect(),
            columns: vec![
                Values::Numbers(number(party, 0)),
                Values::Texts(texts(party)),
                Values::Numbers(number(party, 1)),
                Values::Numbers(number(party, 2)),
            ],
            ids: (0..rows).collect(),
            ..Rows::default()
        })
        .collect();
    let score = |row: usize| {
        let of_party = |(party, rows): (usize, &Rows)| {
            let numbers = |column: usize| match &rows.columns[column] {
                Values::Numbers(values) => values[row].unwrap_or(4.0),
                Values::Texts(values) => {
                    values[row].as_ref().map_or(1.0, |text| f64::from(text.as_bytes()[1] % 2))
                }
            };
            (numbers(0) - 2.5) / 2.0 + numbers(1) + 2.0 * numbers(3) - numbers(2) / (party as f64 + 2.0)
        };
        all.iter().enumerate().map(of_party).sum::<f64>() + drawn(9_999, row as u64)
    };
    let scores: Vec<f64> = (0..rows).map(score).collect();
    let mut sorted = scores.clone();
    sorted.sort_by(f64::total_cmp);
    let rank = |score: f64| sorted.partition_point(|other| *other < score) as f64 / rows as f64;
    let label = |score: &f64| match goal {
        Goal::Binary => f64::from(u8::from(rank(*score) > 0.6)),
        Goal::Signs => {
            if rank(*score) > 0.6 {
                1.0
            } else {
                -1.0
            }
        }
        Goal::Classes(classes) => (rank(*score) * f64::from(classes)).floor(),
        Goal::Number => *score * 3.0,
    };
    all[0].label = Some(scores.iter().map(label).collect());
    all
}

/// As the booster sees the guest's rows.
pub fn targets(guest: &Rows, goal: Goal) -> Targets {
    let mut labels = guest.label.clone().unwrap();
    if goal == Goal::Signs {
        labels.iter_mut().for_each(|label| *label = (*label + 1.0) / 2.0);
    }
    Targets { labels, weights: guest.weights.clone() }
}
