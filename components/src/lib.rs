//! The components of the product: algorithms put into a task's context.
//!
//! A component is a folder here and one line in [`all`]. It takes immutable inputs and returns outputs; it never writes a
//! status, a table name or a file. It knows contracts and algorithms, and no engine.

mod columns;
mod data_split;
mod evaluation;
mod feature_scale;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod hetero_feature_binning;
mod hetero_feature_selection;
mod hetero_secureboost;
mod marks;
mod psi;
mod reader;
mod sample;
mod statistics;
mod toy_example;
mod union;

use std::sync::Arc;

use tributary_component::{Component, Components};

/// Every component of the product. A new one is a line here.
pub fn all() -> Components {
    let all: [Arc<dyn Component>; 12] = [
        Arc::new(reader::Reader::default()),
        Arc::new(psi::Psi::default()),
        Arc::new(data_split::DataSplit::default()),
        Arc::new(sample::Sample::default()),
        Arc::new(union::Union::default()),
        Arc::new(statistics::Statistics::default()),
        Arc::new(feature_scale::FeatureScale::default()),
        Arc::new(hetero_feature_binning::HeteroFeatureBinning::default()),
        Arc::new(hetero_feature_selection::HeteroFeatureSelection::default()),
        Arc::new(hetero_secureboost::HeteroSecureBoost::default()),
        Arc::new(evaluation::Evaluation::default()),
        Arc::new(toy_example::ToyExample::default()),
    ];
    all.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value};
    use tributary_component::testing::problems;

    use super::*;

    #[test]
    fn a_component_is_found_by_its_name() {
        let all = all();
        assert_eq!(all.get("psi").map(|component| component.definition().name), Some("psi"));
        assert!(all.get("PSI").is_none());
        assert_eq!(all.names().count(), all.iter().count());
    }

    #[test]
    fn every_component_finds_nothing_wrong_with_its_defaults() {
        let parties = [("guest", "1"), ("host", "2")];
        for component in all().iter() {
            let definition = component.definition();
            for stage in &definition.stages {
                let required = definition.parameters.iter().filter(|p| p.required && p.is_at_stage(*stage));
                let given: Map<String, Value> = required.map(|p| (p.name.to_owned(), 1.into())).collect();
                let found = problems(component.as_ref(), *stage, &parties, given.into());
                assert_eq!(found, Vec::<String>::new(), "{}", definition.name);
            }
        }
    }
}
